"""Similarity search over the tests of a suite: `SuiteIndex`, its file, and explanations."""
