"""The default runtime of the process, and the closing of all runtimes after a fork."""

from __future__ import annotations

import os
import threading

from flashwasm.errors import DTypeError
from flashwasm.runtime.runtime import Runtime, all_runtimes

__all__ = ["checked_runtime", "default_runtime"]


class _Default:
    """The default runtime, and the lock that prevents two threads from creating one each."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        self.lock = threading.Lock()


_default = _Default()


def default_runtime() -> Runtime:
    """Return the default runtime, which is created when first needed or after it was closed.

    Returns
    -------
    Runtime

    Examples
    --------
    >>> import flashwasm as fw
    >>> fw.default_runtime() is fw.default_runtime()
    True
    """
    runtime = _default.runtime
    if runtime is not None and not runtime.closed_because:
        return runtime
    with _default.lock:
        if _default.runtime is None or _default.runtime.closed:
            _default.runtime = Runtime()
        return _default.runtime


def checked_runtime(runtime: Runtime | None) -> Runtime:
    """Return the runtime to use: the given runtime or, for None, the default runtime."""
    if runtime is None:
        return default_runtime()
    if not isinstance(runtime, Runtime):
        message = f"runtime: expected a flashwasm.Runtime or None, got {type(runtime).__name__}"
        raise DTypeError(message)
    return runtime


def _after_fork() -> None:
    """Close every runtime of the parent in a forked child, which has none of its threads."""
    _default.runtime, _default.lock = None, threading.Lock()
    for runtime in list(all_runtimes):
        runtime.close_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
