"""Tests that do the same, and one parametrised test in the place of several."""
