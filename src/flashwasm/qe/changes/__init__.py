"""Diffs, and the tests that a change calls for."""
