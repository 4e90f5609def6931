"""Coverage: which test runs which line, read from coverage.py's databases."""
