"""Kinds of calls. `hybrid` assumes that calls of one kind are fastest on the same backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.backends.calling_runtime import CallingRuntime

__all__ = ["exact_kind", "kind_name"]

# Types of the values that are part of a kind as they are.
_COMPARABLE = {int, str, float}
# This follows the shape of an array in linear memory.
_RESIDENT = True


def exact_kind(
    runtime: CallingRuntime, operation: str, operands: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the key by which the chosen backend of a call is cached.

    Parameters
    ----------
    runtime : Runtime
        The runtime of the call.
    operation : str
        Name of the operation.
    operands : tuple
        Arrays and other values of the call, as in `flashwasm.backends.choice.other_backend`.
    """
    kind: list[Any] = [operation, runtime.threads, runtime.variant]
    memory = runtime.arena.content
    for x in operands:
        if type(x) is np.ndarray:
            kind.append(x.shape)
            base = x.base
            # The first comparison is quicker, and is enough for an array that is not a view.
            if base is memory or (base is not None and runtime.holds(x)):
                kind.append(_RESIDENT)
        elif x is None or type(x) in _COMPARABLE:
            kind.append(x)
        else:
            kind.append(_plain(x))
    return tuple(kind)


def _plain(x: Any) -> Any:
    """Return a value other than a NumPy array in a form that can be compared."""
    if isinstance(x, (str, int, float, type(None))):
        return x
    try:
        return np.shape(x)
    except (ValueError, TypeError):
        return "no array"  # The call itself raises the error.


def kind_name(kind: tuple[Any, ...]) -> str:
    """Return the name of a kind of calls. Calls of about the same size have the same name.

    The length of each axis is rounded to the nearest power of the square root of two.

    Parameters
    ----------
    kind : tuple
        A kind that `exact_kind` returned.
    """
    operation, threads, variant, *operands = kind
    words = [
        _word(x, resident=following is _RESIDENT)
        for x, following in zip(operands, [*operands[1:], None], strict=True)
        if x is not None and x is not _RESIDENT
    ]
    return f"{operation} {' '.join(words)} ({counted(threads, 'threads')}, {variant})"


def _word(x: Any, *, resident: bool) -> str:
    """Return an operand as a short text: ``512x64`` in linear memory, ``512x64*`` outside."""
    if isinstance(x, int):
        return f"k={_near(x)}"
    if not isinstance(x, tuple):
        return str(x)
    return ("x".join(str(_near(length)) for length in x) or "1") + ("" if resident else "*")


def _near(length: int) -> int:
    """Return the power of the square root of two that is nearest to a length, rounded."""
    return round(2 ** (round(2 * math.log2(length)) / 2)) if length > 1 else length
