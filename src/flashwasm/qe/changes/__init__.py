"""Changes: reading of diffs, and selection of the tests to run for a change."""
