"""Changes: reading of diffs, and selection of the tests that a change calls for."""
