"""Deadlines: the time at which a call has to end, even if it consists of several launches."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

from flashwasm.validation import seconds

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime


class Deadline(float):
    """Time by ``monotonic`` at which a call has to end.

    Every parameter ``timeout``, in seconds, takes a deadline too. A call that consists of several
    launches hands the same deadline to each. It is infinite if the time is not limited.

    Attributes
    ----------
    cancellations : int
        Number of times that `Runtime.cancel` had been called when the call began.
    """

    cancellations: int


def deadline(runtime: Runtime, timeout: float | None) -> Deadline:
    """Return the deadline of a call that begins now.

    Parameters
    ----------
    runtime : Runtime
        The runtime that the call uses.
    timeout : float, optional
        Seconds from now, or a `Deadline`, which is returned as it is. None means the runtime's own
        timeout.
    """
    if isinstance(timeout, Deadline):
        return timeout
    limit = runtime.timeout if timeout is None else seconds(timeout, "timeout")
    until = Deadline(math.inf if limit is None else monotonic() + limit)
    until.cancellations = runtime.cancellations
    return until
