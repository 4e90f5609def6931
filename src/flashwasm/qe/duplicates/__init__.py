"""Duplicate tests, and the parametrised test that could replace several."""
