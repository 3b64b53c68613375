"""Benchmarks: `python -m tests.benchmarks [NAME ...]`. Speed is reported as ratios measured side by side in one run."""
