"""A progress bar for work that may take longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_report"]


@contextmanager
def progress_report(description: str, *, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Draw a progress bar on stderr while the block runs, if stderr is a terminal.

    Parameters
    ----------
    description : str
        The work that is under way, drawn before the bar.
    show : bool, default True
        False draws nothing, so that a caller need not write its block twice.

    Yields
    ------
    callable
        A function to call as the work proceeds, with the number of items done and their total.

    Examples
    --------
    >>> with progress_report("counting", show=False) as advance:
    ...     advance(1, 2)
    """
    if not (show and sys.stderr and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    # rich is imported only when a bar is drawn, because the import takes a tenth of a second.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
