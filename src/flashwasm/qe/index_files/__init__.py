"""The file format of indexes of suites, functions and coverage."""
