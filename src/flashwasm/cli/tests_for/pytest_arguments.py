"""Arguments that a command hands on to pytest: those that follow two dashes."""

from __future__ import annotations

import click

__all__ = ["CommandOfPytest", "pytest_arguments"]

_KEY = "flashwasm.pytest_arguments"


class CommandOfPytest(click.Command):
    """A command that takes arguments of pytest after ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows the first two dashes, and parse the rest as usual."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[_KEY] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the pieces of the line of usage."""
        return [*super().collect_usage_pieces(ctx), "[-- PYTEST_ARGS]"]


def pytest_arguments() -> list[str]:
    """Return the arguments of pytest that the command line of the present command has."""
    arguments: list[str] = click.get_current_context().meta[_KEY]
    return arguments
