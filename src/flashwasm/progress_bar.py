"""Progress of work that may take longer than a second, on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

__all__ = ["progress_report"]

# The value "off" of this environment variable turns all progress off.
_SETTING = "FLASHWASM_PROGRESS"
# Seconds between lines where stderr is no terminal, and between drawings of a notebook's bar.
_BETWEEN_LINES = 3.0
_BETWEEN_DRAWINGS = 0.2
_BAR_WIDTH = 30


@contextmanager
def progress_report(description: str, *, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how far the work of a block is.

    A terminal and a notebook get a bar, which disappears when the work is done. Elsewhere there is
    a line every few seconds, so that work of a second prints nothing. The environment variable
    ``FLASHWASM_PROGRESS=off`` shows nothing anywhere.

    Parameters
    ----------
    description : str
        The work that is under way.
    show : bool, default True
        False shows nothing, so that a caller need not write its block twice.

    Yields
    ------
    callable
        A function to call as the work proceeds, with the number of items done and their total.

    Examples
    --------
    >>> with progress_report("counting", show=False) as advance:
    ...     advance(1, 2)
    """
    stream = sys.stderr
    if not show or stream is None or os.environ.get(_SETTING, "").lower() == "off":
        yield lambda _done, _total: None
    elif stream.isatty():
        with _terminal_bar(description) as advance:
            yield advance
    elif _in_notebook():
        bar = _NotebookBar(description, stream)
        try:
            yield bar.advance
        finally:
            bar.close()
    else:
        lines = _Lines(description, stream)
        yield lines.advance
        lines.close()


@contextmanager
def _terminal_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar by rich."""
    # rich is imported only when a bar is drawn, because the import takes a tenth of a second.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Lines of progress, none of them in the first seconds.

    Parameters
    ----------
    description : str
        The work that is under way.
    stream : file
        Stream to print to.
    """

    def __init__(self, description: str, stream: TextIO) -> None:
        self._description = description
        self._stream = stream
        self._begun = self._last = monotonic()
        self._total = 0

    def advance(self, done: int, total: int) -> None:
        """Print a line if the last one was printed some seconds ago."""
        self._total = total
        now = monotonic()
        if now - self._last < _BETWEEN_LINES:
            return
        self._last = now
        self._print(f"{done} of {total}{_remaining(now - self._begun, done, total)}")

    def close(self) -> None:
        """Say that the work is done, if a line said that it had begun."""
        if self._last > self._begun:
            self._print(f"{self._total} done in {_seconds(monotonic() - self._begun)}")

    def _print(self, text: str) -> None:
        """Print a line at once."""
        print(f"{self._description}: {text}", file=self._stream, flush=True)


class _NotebookBar:
    """A bar of characters that a notebook draws over itself after each carriage return.

    Parameters
    ----------
    description : str
        The work that is under way.
    stream : file
        Stream of the notebook's cell.
    """

    def __init__(self, description: str, stream: TextIO) -> None:
        self._description = description
        self._stream = stream
        self._begun = monotonic()
        self._last = -_BETWEEN_DRAWINGS
        self._drawn = 0

    def advance(self, done: int, total: int) -> None:
        """Draw the bar, unless it was drawn a moment ago."""
        now = monotonic()
        if now - self._last < _BETWEEN_DRAWINGS and done < total:
            return
        self._last = now
        full = _BAR_WIDTH * done // max(total, 1)
        bar = "#" * full + "." * (_BAR_WIDTH - full)
        text = f"{self._description} [{bar}] {done}/{total}"
        self._draw(text + _remaining(now - self._begun, done, total))

    def close(self) -> None:
        """Wipe the bar off."""
        if self._drawn:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        """Write a text over the one before."""
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)


def _remaining(elapsed: float, done: int, total: int) -> str:
    """Return the time that the rest will take if it goes on as before; nothing at either end."""
    if not 0 < done < total:
        return ""
    return f", {_seconds(elapsed / done * (total - done))} left"


def _seconds(seconds: float) -> str:
    """Return a duration in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _in_notebook() -> bool:
    """Return True in the kernel of a notebook. IPython is not imported to find that out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
