"""Benchmarks: cases, a runner that checks results before it times them, and reports."""
