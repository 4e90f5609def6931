"""Deadlines: the time at which a call must end, even if it consists of several launches."""

from __future__ import annotations

import math
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from flashwasm.errors import Cancelled, DeadlineExceeded
from flashwasm.validation import seconds

if TYPE_CHECKING:
    from collections.abc import Callable


class Limited(Protocol):
    """The attributes of a runtime on which deadlines depend."""

    timeout: float | None
    cancellations: int


class Deadline(float):
    """Time of ``monotonic`` at which a call must end.

    Every parameter ``timeout`` accepts a deadline instead of seconds. A call that consists of
    several launches passes the same deadline to each. It is infinite if there is no time limit.

    Attributes
    ----------
    cancellations : int
        Number of times that `Runtime.cancel` had been called when the call began.
    """

    cancellations: int


def check_time(
    runtime: Limited, until: float, cancellations: int, operation: str = "the operation"
) -> None:
    """Raise an error if a call must end.

    Parameters
    ----------
    runtime : Runtime
        The runtime that the call uses.
    until : float
        Time of ``monotonic`` at which the call must end.
    cancellations : int
        Number of times that `Runtime.cancel` had been called when the call began.
    operation : str, default "the operation"
        Name of the operation, for the error.

    Raises
    ------
    DeadlineExceeded
        If the deadline has passed.
    Cancelled
        If `Runtime.cancel` was called since the call began.
    """
    if runtime.cancellations != cancellations:
        message = f"{operation} was cancelled"
        raise Cancelled(message)
    if monotonic() > until:
        message = f"{operation} did not finish within its timeout"
        raise DeadlineExceeded(message)


def checker(
    runtime: Limited, timeout: float | None, operation: str = "the operation"
) -> Callable[[], None]:
    """Return a function that raises an error if a call that begins now must end.

    Parameters
    ----------
    runtime, timeout
        As in `deadline`.
    operation : str, default "the operation"
        Name of the operation, for the error.
    """
    until = deadline(runtime, timeout)
    return partial(check_time, runtime, until, until.cancellations, operation)


def deadline(runtime: Limited, timeout: float | None) -> Deadline:
    """Return the deadline of a call that begins now.

    Parameters
    ----------
    runtime : Runtime
        The runtime that the call uses.
    timeout : float, optional
        Seconds from now, or a `Deadline`, which is returned unchanged. None means the runtime's
        timeout.
    """
    if isinstance(timeout, Deadline):
        return timeout
    limit = runtime.timeout if timeout is None else seconds(timeout, "timeout")
    until = Deadline(math.inf if limit is None else monotonic() + limit)
    until.cancellations = runtime.cancellations
    return until
