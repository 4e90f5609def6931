"""Exact and graph indexes beside other libraries: recall, queries a second, building and memory."""
