"""The flat index: a search compares every query with every vector."""
