"""``flashwasm tests-for``: the tests that a change calls for."""

from flashwasm.cli.tests_for.command import tests_for

__all__ = ["tests_for"]
