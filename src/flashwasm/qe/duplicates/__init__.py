"""Duplicates: tests that do the same, and the parametrised test that could replace several."""
