"""Readers: a test may read a file as text, without importing it.

`source_readers` finds the files that may read sources, and `documentation_files` those that may
read documentation. If only comments and layout of a file change (`layout_changes`), the change
reaches only tests that may notice where code stands in the file (`layout_readers`).
"""
