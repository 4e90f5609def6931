"""The flat index, whose search compares every query with every vector."""
