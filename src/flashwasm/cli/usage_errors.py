"""Messages about arguments that click refuses, which also say what is expected instead."""

from __future__ import annotations

import click

__all__ = ["ONE_PATH", "explained"]

# What to do with the tests of several folders.
ONE_PATH = "give a folder that contains all of them"


def explained(error: click.UsageError) -> click.UsageError | None:
    """Return an error with a better message; None if the message says enough.

    Parameters
    ----------
    error : click.UsageError
        The error that click raised.
    """
    if error.ctx is None:
        return None
    command = error.ctx.command
    if isinstance(error, click.NoSuchOption):
        if error.option_name == "--format" and _prints_json(command):
            return click.UsageError("No such option '--format'. Did you mean '--json'?", error.ctx)
    elif error.message.startswith("No such command") and "Did you mean" not in error.message:
        if isinstance(command, click.Group) and command.commands:
            expected = ", ".join(command.commands)
            return click.UsageError(f"{error.message} Expected {expected}.", error.ctx)
    elif error.message.startswith("Got unexpected extra argument"):
        return click.UsageError(f"{error.message}; {_arguments(command, error.ctx)}", error.ctx)
    return None


def _prints_json(command: click.Command) -> bool:
    """Return True if a command has the option --json."""
    return any("--json" in option.opts for option in command.params)


def _arguments(command: click.Command, ctx: click.Context) -> str:
    """Return in words which arguments a command takes."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    names = [one.make_metavar(ctx).strip("[]") for one in arguments]
    if not names:
        return f"{command.name} takes no argument, only options"
    if names == ["PATH"]:
        return f"{command.name} takes one PATH: {ONE_PATH}"
    return f"{command.name} takes {'one ' if len(names) == 1 else ''}{', '.join(names)}"
