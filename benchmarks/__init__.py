"""Measurements: how the judge stands against what it promises. `python -m benchmarks --help` lists them."""
