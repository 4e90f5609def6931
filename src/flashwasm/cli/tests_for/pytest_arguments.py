"""Arguments that a command passes to pytest: those after ``--``."""

from __future__ import annotations

import click

__all__ = ["CommandOfPytest", "pytest_arguments"]

_KEY = "flashwasm.pytest_arguments"


class CommandOfPytest(click.Command):
    """A command that accepts arguments for pytest after ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store the arguments after the first ``--``, and parse the others as usual."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_KEY] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- PYTEST_ARGS]"]


def pytest_arguments() -> list[str]:
    """Return the arguments for pytest on the command line of the current command."""
    arguments: list[str] = click.get_current_context().meta[_KEY]
    return arguments
