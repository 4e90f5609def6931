"""Coverage of each test from coverage.py: look-ups, and lines that no test runs."""
