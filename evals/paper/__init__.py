"""What the scripts on the paper's tables and figures share: benchmarks, runs, verdicts, tables and drawings."""
