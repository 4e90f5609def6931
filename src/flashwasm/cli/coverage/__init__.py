"""``flashwasm coverage``: the lines that each test runs."""

from flashwasm.cli.coverage import gap, tests_by_lines
from flashwasm.cli.coverage.group import coverage

__all__ = ["coverage", "gap", "tests_by_lines"]
