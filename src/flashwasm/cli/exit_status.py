"""Exit statuses: of commands that look for problems, and after a broken pipe."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = ["INTERRUPTED", "FailOn", "findings_options", "without_broken_pipes"]

# Exit status of an interrupted command: 128 plus the number of SIGINT, as shells expect.
INTERRUPTED = 130
# Exit status of a command with findings that make it fail.
_FINDINGS = 1
# Key of a context's `meta` for the exit status that a command has decided on.
_DECIDED = "flashwasm.exit_status"


class FailOn:
    """The kinds of findings that make a command fail, as chosen by the user.

    Parameters
    ----------
    kinds : iterable of str
        Kinds that make the command end with status 1.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = frozenset(kinds)

    def decide(self, found: Iterable[str]) -> int:
        """Return the exit status: 1 if the command must fail for a kind that was found, else 0.

        A command calls this before it prints. So its exit status is the same if the pipe that it
        prints to is closed early.
        """
        status = _FINDINGS if self._kinds.intersection(found) else 0
        click.get_current_context().meta[_DECIDED] = status
        return status


class _Kinds(click.ParamType):  # type: ignore[type-arg]  # Not generic before click 8.4.
    """A list of kinds of findings, separated by commas.

    Parameters
    ----------
    kinds : tuple of str
        Kinds that the command accepts.
    """

    name = "kinds"

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the kinds as a tuple. The value is a list if it comes from a settings file."""
        texts = value.split(",") if isinstance(value, str) else value
        chosen = tuple(str(text).strip() for text in texts)
        for kind in chosen:
            if kind not in self._kinds:
                self.fail(f"{kind!r} is not one of {', '.join(self._kinds)}", param, ctx)
        return chosen

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the kinds that may follow the last comma."""
        del ctx, param
        before, comma, last = incomplete.rpartition(",")
        kinds = (kind for kind in self._kinds if kind.startswith(last))
        return [CompletionItem(f"{before}{comma}{kind}") for kind in kinds]


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
        help="Exit with status 1 only for findings of these kinds.",
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        """Add the two options to a command."""

        @click.option(
            "--exit-zero", is_flag=True, help="Exit with status 0 even if there are findings."
        )
        @wraps(command)
        def gathered(*, exit_zero: bool, chosen: tuple[str, ...] = kinds, **given: Any) -> None:
            """Call the command with both options as one argument."""
            command(**given, fail_on=FailOn(() if exit_zero else chosen))

        return fail_on_option(gathered) if len(kinds) > 1 else gathered

    return decorate


@contextmanager
def without_broken_pipes(context: click.Context | None = None) -> Iterator[None]:
    """Exit quietly if the pipe that reads the output is closed early, as ``head`` does.

    The exit status is the one that the command in ``context`` has decided on, or else 0.
    """
    try:
        yield
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _reader_left(stream)]
        if not closed:
            raise
        for stream in closed:
            # When the program ends, Python flushes the stream, which would fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(0 if context is None else context.meta.get(_DECIDED, 0))


def _reader_left(stream: Any) -> bool:
    """Return True if a stream is a pipe whose reading end is closed.

    A broken pipe to another program, such as a worker process, is an error.
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
