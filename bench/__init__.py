"""Comparisons with other libraries, evaluations, and the record of their results.

Run this package from a checkout (`python -m bench --help`); see README.md beside this file.
"""
