"""Suites: the tests of a pytest project, found by parsing its files."""
