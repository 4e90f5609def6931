"""Comparison of the indexes with other libraries: recall, queries a second, building, memory."""
