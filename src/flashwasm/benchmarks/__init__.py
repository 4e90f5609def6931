"""Benchmarks that a user runs on their own machine: the cases, the timing loop and the tables."""
