"""Inspection of files: `flashwasm index info` and `flashwasm index verify`."""
