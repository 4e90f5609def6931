"""Tests that resemble a test or a description: `SuiteIndex`, its file, and why a test was found."""
