"""Backends: what computes attention, products and rows in place of the sandbox, when asked to."""
