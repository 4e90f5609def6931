"""Benchmarks for the user's own machine: the cases, the timing loop and the tables."""
