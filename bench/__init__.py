"""Benchmarks, run by hand: each prints a table and leaves results/bench/<name>.json."""
