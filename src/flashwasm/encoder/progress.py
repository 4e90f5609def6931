"""One progress bar, for whatever takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_report"]


@contextmanager
def progress_report(description: str, *, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Draw progress on stderr while the block runs, where stderr is a terminal.

    Parameters
    ----------
    description : str
        What is being done, drawn before the bar.
    show : bool, default True
        False draws nothing, so that a caller need not branch.

    Yields
    ------
    callable
        To be called with how many are done and how many there are.

    Examples
    --------
    >>> with progress_report("counting", show=False) as advance:
    ...     advance(1, 2)
    """
    if not (show and sys.stderr and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    # Rich takes a tenth of a second to import, which nobody should pay for a bar that is not drawn.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
