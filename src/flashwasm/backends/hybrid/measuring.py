"""Measurement of a call on several backends, in turn."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from flashwasm.errors import CapabilityError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flashwasm.backends.hybrid.timings import Seconds
    from flashwasm.backends.registry import BackendName

__all__ = ["measured"]

# Maximum total seconds of all rounds after the first, and maximum number of rounds.
_SECONDS = 0.3
_ROUNDS = 100
# Rounds in which all backends are measured, even if one seems to be far slower.
_FAIR_ROUNDS = 3
# A backend that is slower than the fastest by this factor is not measured further. The sandbox
# always is, because its second call may have been slow by chance.
_HOPELESS = 4.0


def measured(names: Sequence[BackendName], on: Callable[..., object]) -> Seconds:
    """Return the seconds of a call on each backend that supports it: the best of several rounds.

    Parameters
    ----------
    names : sequence of str
        Names of the backends to try, the sandbox first.
    on : callable
        Function that makes the call on the backend that its argument ``backend`` names.

    Raises
    ------
    FlashWasmError
        If the call fails on all backends.
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
    """Return the seconds of the second call, or the error if the backend cannot make the call."""
    try:
        _seconds(on, name)  # The first call compiles, loads or allocates something.
        return _seconds(on, name)
    except (CapabilityError, OutOfMemoryError) as error:
        return error


def _seconds(on: Callable[..., object], name: BackendName) -> float:
    """Return the duration of one call in seconds."""
    start = perf_counter()
    on(backend=name)
    return perf_counter() - start
