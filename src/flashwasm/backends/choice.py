"""The backend of one call: the one that the call or its runtime names, or hybrid's choice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flashwasm.backends.backend import Limits
from flashwasm.backends.hybrid.chooser import chosen_backend
from flashwasm.backends.registry import BACKENDS, check_options, checked_backend
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flashwasm.backends.backend import Backend, Operation
    from flashwasm.backends.calling_runtime import CallingRuntime
    from flashwasm.backends.registry import BackendName

__all__ = ["limits_of", "other_backend", "record"]

_counting = threading.Lock()


def other_backend(
    runtime: CallingRuntime,
    backend: BackendName | None,
    operation: Operation,
    operands: tuple[Any, ...],
    on: Callable[..., object],
) -> Backend | None:
    """Return the backend that computes a call in place of the sandbox; None for the sandbox.

    Parameters
    ----------
    runtime : Runtime
        The runtime of the call.
    backend : str, optional
        The backend that the call names. None means the runtime's.
    operation : str
        Name of the operation.
    operands : tuple
        What decides how long the call takes: its arrays, as the caller gave them, and the names
        of its options.
    on : callable
        Function that makes the same call on the backend that it is given by the name ``backend``,
        for "hybrid" to measure.

    Raises
    ------
    ShapeError, DTypeError, CapabilityError, ClosedError
    """
    name = runtime.backend if backend is None else choice(backend, "backend", BACKENDS)
    runtime.check_open()
    if name == "hybrid":
        name = chosen_backend(runtime, operation, operands, on)
    return checked_backend(name, deterministic=runtime.deterministic)


def limits_of(runtime: CallingRuntime, check: Callable[[], None]) -> Limits:
    """Return the limits of a call: the runtime's threads, and the check of its deadline."""
    return Limits(runtime.threads, check)


def record(
    runtime: CallingRuntime, backend: Backend, operation: Operation, used: Iterable[str] = ()
) -> None:
    """Check the options that a call uses, and count the call in the runtime's statistics."""
    check_options(backend, operation, used)
    with _counting:
        counts = runtime.backend_calls
        counts[backend.name] = counts.get(backend.name, 0) + 1
