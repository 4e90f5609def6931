"""The choice of the backend for one call, by the call, by its runtime, or by "hybrid"."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.backend import Limits
from flashwasm.backends.hybrid.call_kind import exact_kind
from flashwasm.backends.hybrid.chooser import CHOICES, measured_choice
from flashwasm.backends.registry import BACKENDS, SANDBOX, check_options, checked_backend
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flashwasm.backends.backend import Backend, Operation
    from flashwasm.backends.calling_runtime import CallingRuntime
    from flashwasm.backends.registry import BackendName

__all__ = [
    "SMALL",
    "SMALL_COPIED",
    "SMALL_ROWS",
    "limits_of",
    "may_leave",
    "other_backend",
    "record",
]


class _Counting:
    """The lock for the counts of calls."""

    lock = threading.Lock()


# If no array of a call has more elements than this, "hybrid" always uses the sandbox. Such a call
# takes about ten microseconds there. The choice takes one or two, and another backend has a greater
# overhead.
SMALL = 1 << 13
# The same limit for operations that work on rows, such as softmax. NumPy makes several passes over
# the array. In measurements with up to a million elements it was never faster, and a GPU takes as
# long to receive so many.
SMALL_ROWS = 1 << 18
# The same for products of arrays outside linear memory, which the sandbox has to copy first.
SMALL_COPIED = 1 << 11


def other_backend(
    runtime: CallingRuntime,
    backend: BackendName | None,
    operation: Operation,
    operands: tuple[Any, ...],
    on: Callable[..., object],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> Backend | None:
    """Return the backend that computes a call in place of the sandbox; None for the sandbox.

    Parameters
    ----------
    runtime : Runtime
        The runtime of the call.
    backend : str, optional
        The call's argument ``backend``, which `may_leave` has checked. None means the runtime's
        backend.
    operation : str
        Name of the operation.
    operands : tuple
        The values that determine the duration of the call: its arrays, as the caller passed them,
        and the names of its options.
    on : callable
        The function that was called. "hybrid" measures it on each backend, which the function's
        argument ``backend`` names.
    arguments : tuple
        Positional arguments of the call.
    options : dict
        Its other arguments, except ``backend``.

    Raises
    ------
    ShapeError, DTypeError, CapabilityError, ClosedError
    """
    name = runtime.backend if backend is None else backend
    if name == "hybrid":
        kind = exact_kind(runtime, operation, operands)
        name = CHOICES.get(kind) or measured_choice(kind, partial(on, *arguments, **options))
    if name == SANDBOX:
        return None
    runtime.check_open()
    return checked_backend(name, deterministic=runtime.deterministic)


def may_leave(
    runtime: CallingRuntime,
    backend: BackendName | None,
    operands: tuple[Any, ...],
    small: int = SMALL,
    small_copied: int | None = None,
) -> bool:
    """Return True if a call may run outside the sandbox; `other_backend` then chooses the backend.

    Parameters
    ----------
    runtime, backend
        As in `other_backend`. This function checks the backend's name.
    operands : tuple
        The arrays of the call, as the caller passed them.
    small : int, optional
        Maximum number of elements in the arrays of a call that "hybrid" leaves in the sandbox.
    small_copied : int, optional
        The same limit for arrays that own their memory, and so do not lie in the sandbox's. None
        means ``small``.
    """
    name = runtime.backend if backend is None else choice(backend, "backend", BACKENDS)
    if name != "hybrid":
        return name != SANDBOX
    if runtime.deterministic:
        return False
    copied = small if small_copied is None else small_copied
    for x in operands:
        if type(x) is np.ndarray and x.size > (copied if x.base is None else small):
            return True
    return False


def limits_of(runtime: CallingRuntime, check: Callable[[], None]) -> Limits:
    """Return the limits of a call: the runtime's threads, and the check of its deadline."""
    return Limits(runtime.threads, check)


def record(
    runtime: CallingRuntime, backend: Backend, operation: Operation, used: Iterable[str] = ()
) -> None:
    """Check the options that a call uses, and count the call in the runtime's statistics."""
    check_options(backend, operation, used)
    with _Counting.lock:
        counts = runtime.backend_calls
        counts[backend.name] = counts.get(backend.name, 0) + 1


def _after_fork() -> None:
    """Make a new lock in a forked child, because the thread that held it does not exist there."""
    _Counting.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
