"""Runtimes: the sandbox, its linear memory, and how work is split, cut and run in it."""
