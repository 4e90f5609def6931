"""Runtimes: the sandbox, its linear memory, and the splitting and running of work in it."""
