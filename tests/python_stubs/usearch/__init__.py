"""Stands in for usearch."""
