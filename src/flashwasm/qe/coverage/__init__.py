"""Coverage of each test, read from coverage.py: searches, and lines that no test runs."""
