"""``flashwasm tests-for``: run the tests that a change may reach."""

from flashwasm.cli.tests_for.command import tests_for

__all__ = ["tests_for"]
