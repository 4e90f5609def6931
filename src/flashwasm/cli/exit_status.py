"""Exit statuses of commands that look for faults, and of those whose reader leaves early."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

__all__ = ["FailOn", "findings_options", "without_broken_pipes"]

# Exit status of a command that found what makes it fail.
_FINDINGS = 1
# The entry of a context's `meta` that holds the exit status that a command has decided on.
_DECIDED = "flashwasm.exit_status"


class FailOn:
    """The kinds of findings that make a command fail, as the user chose them.

    Parameters
    ----------
    kinds : iterable of str
        Kinds that make the command end with status 1.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = frozenset(kinds)

    def decide(self, found: Iterable[str]) -> int:
        """Return the exit status for the kinds of all findings: 1 if one of them counts, else 0.

        A command decides before it prints. So its status is the same if the reader of its output
        leaves early.
        """
        status = _FINDINGS if self._kinds.intersection(found) else 0
        click.get_current_context().meta[_DECIDED] = status
        return status


class _Kinds(click.ParamType):  # type: ignore[type-arg]  # Not generic before click 8.4.
    """A list of kinds of findings, separated by commas.

    Parameters
    ----------
    kinds : tuple of str
        Kinds that the command knows.
    """

    name = "kinds"

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the kinds as a tuple; a file of settings may give a list."""
        texts = value.split(",") if isinstance(value, str) else value
        chosen = tuple(str(text).strip() for text in texts)
        for kind in chosen:
            if kind not in self._kinds:
                self.fail(f"{kind!r} is not one of {', '.join(self._kinds)}", param, ctx)
        return chosen


def findings_options(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds ``--exit-zero`` and ``--fail-on``, passed on as ``fail_on``.

    A command with one kind of findings gets no ``--fail-on``.
    """
    fail_on_option = click.option(
        "--fail-on",
        "chosen",
        metavar="KINDS",
        type=_Kinds(kinds),
        default=",".join(kinds),
        show_default=True,
        help="End with status 1 only for findings of these kinds.",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        """Add the two options to a command."""

        @click.option("--exit-zero", is_flag=True, help="End with status 0 whatever was found.")
        @wraps(command)
        def gathered(*, exit_zero: bool, chosen: tuple[str, ...] = kinds, **given: Any) -> None:
            """Call the command with both options in one argument."""
            command(**given, fail_on=FailOn(() if exit_zero else chosen))

        return fail_on_option(gathered) if len(kinds) > 1 else gathered

    return decorate


@contextmanager
def without_broken_pipes(context: click.Context | None = None) -> Iterator[None]:
    """End the program quietly if the reader of its output leaves early, as ``head`` does.

    The exit status is the one that the command of ``context`` has decided on, else 0.
    """
    try:
        yield
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _reader_left(stream)]
        if not closed:
            raise
        for stream in closed:
            # Python would write what is left in the stream at the end, and fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(0 if context is None else context.meta.get(_DECIDED, 0))


def _reader_left(stream: Any) -> bool:
    """Return True if a stream is a pipe that nobody reads any more.

    A pipe to another program, such as a worker process, may break, too. That is an error.
    """
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    if not hasattr(select, "poll"):
        return True
    pipe = select.poll()
    pipe.register(number, 0)
    return bool(pipe.poll(0))
