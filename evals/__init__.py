"""One script per table or figure: `python -m evals.NAME`."""
