"""Progress of work that may take longer than a second, on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

__all__ = ["progress_report"]

# The value "off" of this environment variable disables progress everywhere.
_SETTING = "FLASHWASM_PROGRESS"
# Seconds between lines if stderr is not a terminal, and between updates of a notebook's bar.
_BETWEEN_LINES = 3.0
_BETWEEN_DRAWINGS = 0.2
_BAR_WIDTH = 30


@contextmanager
def progress_report(description: str, *, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a block's work on stderr.

    Terminals and notebooks show a bar, which disappears when the work is done. Elsewhere a line is
    printed every few seconds, so short work prints nothing. Set the environment variable
    ``FLASHWASM_PROGRESS=off`` to disable progress.

    Parameters
    ----------
    description : str
        Description of the work.
    show : bool, default True
        False to show nothing, so that a caller can use the same block with and without progress.

    Yields
    ------
    callable
        A function to call as the work proceeds, with the number of finished items and the total.

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
    """Draw a bar with rich."""
    # rich is imported only when a bar is drawn, because the import takes a tenth of a second.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Pace:
    """The pace of work, which may have several phases, each with a count of its own."""

    def __init__(self) -> None:
        self._began = 0.0
        self._done_before = self._done = 0
        self._total = -1

    def remaining(self, done: int, total: int) -> str:
        """Return the estimated remaining time, or no text at the beginning and at the end.

        The time before the first report of a phase does not count, because it may contain
        preparations.
        """
        now = monotonic()
        if total != self._total or done < self._done:
            self._began, self._done_before = now, done
        self._done, self._total = done, total
        finished = done - self._done_before
        if finished == 0 or done >= total:
            return ""
        return f", {_seconds((now - self._began) / finished * (total - done))} left"


class _Lines:
    """Lines of progress, the first after some seconds.

    Parameters
    ----------
    description : str
        Description of the work.
    stream : file
        Stream to print to.
    """

    def __init__(self, description: str, stream: TextIO) -> None:
        self._description = description
        self._stream = stream
        self._begun = self._last = monotonic()
        self._pace = _Pace()
        self._total = 0

    def advance(self, done: int, total: int) -> None:
        """Print a line if the last line was printed some seconds ago."""
        self._total = total
        remaining = self._pace.remaining(done, total)
        now = monotonic()
        if now - self._last < _BETWEEN_LINES:
            return
        self._last = now
        self._print(f"{done:,} of {total:,}{remaining}")

    def close(self) -> None:
        """Print that the work is done, if any progress was printed."""
        if self._last > self._begun:
            self._print(f"{self._total:,} done in {_seconds(monotonic() - self._begun)}")

    def _print(self, text: str) -> None:
        """Print a line immediately."""
        print(f"{self._description}: {text}", file=self._stream, flush=True)


class _NotebookBar:
    """A bar of characters, which overwrites itself in a notebook after each carriage return.

    Parameters
    ----------
    description : str
        Description of the work.
    stream : file
        Stream of the notebook's cell.
    """

    def __init__(self, description: str, stream: TextIO) -> None:
        self._description = description
        self._stream = stream
        self._pace = _Pace()
        self._last = -_BETWEEN_DRAWINGS
        self._drawn = 0

    def advance(self, done: int, total: int) -> None:
        """Draw the bar, unless it was drawn a moment ago."""
        remaining = self._pace.remaining(done, total)
        now = monotonic()
        if now - self._last < _BETWEEN_DRAWINGS and done < total:
            return
        self._last = now
        full = _BAR_WIDTH * done // max(total, 1)
        bar = "#" * full + "." * (_BAR_WIDTH - full)
        text = f"{self._description} [{bar}] {done:,}/{total:,}"
        self._draw(text + remaining)

    def close(self) -> None:
        """Erase the bar."""
        if self._drawn:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        """Overwrite the previous text."""
        self._stream.write("\r" + text.ljust(self._drawn))
        self._stream.flush()
        self._drawn = len(text)


def _seconds(seconds: float) -> str:
    """Return a duration in minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _in_notebook() -> bool:
    """Return True in the kernel of a notebook, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
