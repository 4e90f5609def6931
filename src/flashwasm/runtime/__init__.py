"""Runtimes: a sandbox and its linear memory, and the splitting and running of its work."""
