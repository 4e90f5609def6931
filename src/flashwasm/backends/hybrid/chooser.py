"""The choice of `hybrid`: the backend for a call, based on timings of such calls."""

from __future__ import annotations

import os
import threading
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

from flashwasm.backends.hybrid.call_kind import kind_name
from flashwasm.backends.hybrid.measuring import measured
from flashwasm.backends.hybrid.timings import Timings
from flashwasm.backends.registry import OTHER_BACKENDS, SANDBOX, backend_named
from flashwasm.errors import CapabilityError
from flashwasm.host.modules import module_sha256
from flashwasm.summaries import counted
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flashwasm.backends.hybrid.timings import Seconds
    from flashwasm.backends.registry import BackendName

__all__ = ["CHOICES", "choice_in_words", "fastest", "forget", "known_timings", "measured_choice"]

# Environment variable that overrides the choice. Its value is a backend, or a list of
# operation=backend, separated by commas.
VARIABLE = "FLASHWASM_HYBRID"
_OPERATIONS = ("attention", "matmul", "softmax", "layer_norm", "cosine_top_k")
# Another backend is chosen only if it is faster than the sandbox by this factor, which is about as
# much as two timings of one backend differ. A call is then at most this much slower than on the
# best backend.
_MARGIN = 1.04
# Maximum number of cached choices.
_MOST_CHOICES = 1024


# The choices so far, by the exact kind of the call.
CHOICES: dict[tuple[Any, ...], BackendName] = {}


class _Chooser:
    """The timings on which the choices are based."""

    def __init__(self) -> None:
        self.timings: Timings | None = None
        self.lock = threading.Lock()


_chooser = _Chooser()


def measured_choice(kind: tuple[Any, ...], on: Callable[..., object]) -> BackendName:
    """Return the name of the backend for a kind of calls; measure a call if there are no timings.

    Parameters
    ----------
    kind : tuple
        A kind of calls, as `exact_kind` returns it.
    on : callable
        Function that makes the call on the backend that its argument ``backend`` names.

    Raises
    ------
    ShapeError
        If the environment variable ``FLASHWASM_HYBRID`` does not name a backend.
    FlashWasmError
        If the call is measured and fails.
    """
    forced = _forced(os.environ.get(VARIABLE, "")).get(kind[0])
    if forced is not None:
        return forced
    with _chooser.lock:
        timings = _timings()
        name = kind_name(kind)
        seconds = timings.get(name)
        if seconds is None:
            seconds = measured(_candidates(), on)
            timings.put(name, seconds)
        if len(CHOICES) >= _MOST_CHOICES:
            CHOICES.clear()
        chosen = CHOICES[kind] = fastest(seconds)
    return chosen


def fastest(seconds: Seconds) -> BackendName:
    """Return the backend for a kind of calls: the sandbox unless another is clearly faster.

    Parameters
    ----------
    seconds : dict of str to float
        Seconds of a call by the name of the backend.
    """
    best: Any = min(seconds, key=lambda name: seconds[name])
    if SANDBOX in seconds and seconds[SANDBOX] <= _MARGIN * seconds[best]:
        return SANDBOX
    name: BackendName = best
    return name


def known_timings() -> Mapping[str, Seconds]:
    """Return all timings of this machine, by the name of the kind of call."""
    with _chooser.lock:
        return dict(_timings().all())


def choice_in_words() -> str:
    """Return one line that describes the basis of the choice."""
    forced = os.environ.get(VARIABLE, "")
    if forced:
        return f"{VARIABLE}={forced} chooses"
    with _chooser.lock:
        timings = _timings()
        place = "in memory" if timings.path is None else f"in {timings.path}"
        return f"chooses by the timings of {counted(len(timings.all()), 'kinds')} of calls, {place}"


def forget() -> None:
    """Drop the cached choices and timings; the file does not change."""
    with _chooser.lock:
        CHOICES.clear()
        _chooser.timings = None


def _timings() -> Timings:
    """Return the timings of this machine with these versions. The caller holds the lock."""
    if _chooser.timings is None:
        from flashwasm import __version__  # noqa: PLC0415 - the package imports this module lazily.

        versions = [backend_named(name).versions() for name in _candidates() if name != SANDBOX]
        digests = [module_sha256(variant) for variant in ("relaxed", "simd128", "scalar")]
        _chooser.timings = Timings([f"flashwasm {__version__}", *digests, *versions])
    return _chooser.timings


def _candidates() -> list[BackendName]:
    """Return the names of the backends that can run on this machine."""
    names: list[BackendName] = [SANDBOX]
    for name in OTHER_BACKENDS:
        try:
            with warnings.catch_warnings():
                # Ignore a backend's warning that it is slow: the timings decide.
                warnings.simplefilter("ignore")
                backend = backend_named(name)
        except CapabilityError:
            continue
        if not backend.emulated:
            names.append(name)  # type: ignore[arg-type]
    return names


@cache
def _forced(text: str) -> Mapping[str, BackendName]:
    """Return the backend that the environment variable names for each operation."""
    forced: dict[str, BackendName] = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        operation, equals, name = part.rpartition("=")
        backend: Any = choice(name, VARIABLE, (SANDBOX, *OTHER_BACKENDS))
        operations = (choice(operation, VARIABLE, _OPERATIONS),) if equals else _OPERATIONS
        forced.update(dict.fromkeys(operations, backend))
    return forced
