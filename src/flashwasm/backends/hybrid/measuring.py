"""Measuring a call on several backends, which take turns."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from flashwasm.errors import CapabilityError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flashwasm.backends.hybrid.timings import Seconds
    from flashwasm.backends.registry import BackendName

__all__ = ["measured"]

# Seconds that all rounds together may take, after the first; and most rounds.
_SECONDS = 0.3
_ROUNDS = 100
# Rounds in which all backends are measured, even if one seems to be far slower.
_FAIR_ROUNDS = 3
# A backend that took so much longer than the sandbox is not measured on. The sandbox always is: its
# second call may have been slow by chance.
_HOPELESS = 4.0


def measured(names: Sequence[BackendName], on: Callable[..., object]) -> Seconds:
    """Return the seconds of a call on each backend that can do it: the best of several rounds.

    Parameters
    ----------
    names : sequence of str
        Names of the backends to try, the sandbox first.
    on : callable
        Function that makes the call on the backend that it is given by the name ``backend``.

    Raises
    ------
    FlashWasmError
        If the call fails on all of them.
    """
    best: Seconds = {}
    failure: Exception | None = None
    for name in names:
        found = _first_seconds(on, name)
        if isinstance(found, float):
            best[name] = found
        else:
            failure = found
    if not best and failure is not None:
        raise failure
    left = [name for name in names if name in best]
    end = perf_counter() + _SECONDS
    for number in range(_ROUNDS if len(left) > 1 else 0):
        if perf_counter() > end:
            break
        for name in left:
            best[name] = min(best[name], _seconds(on, name))
        if number >= _FAIR_ROUNDS:
            limit = _HOPELESS * min(best.values())
            left = [name for name in left if name == names[0] or best[name] < limit]
    return best


def _first_seconds(on: Callable[..., object], name: BackendName) -> float | Exception:
    """Return the seconds of the second call; or the error, if the backend cannot do the call."""
    try:
        _seconds(on, name)  # The first call compiles, loads or allocates something.
        return _seconds(on, name)
    except (CapabilityError, OutOfMemoryError) as error:
        return error


def _seconds(on: Callable[..., object], name: BackendName) -> float:
    """Return the seconds that one call takes."""
    start = perf_counter()
    on(backend=name)
    return perf_counter() - start
