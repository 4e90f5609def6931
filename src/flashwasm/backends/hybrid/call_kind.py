"""Kinds of calls. `hybrid` assumes that calls of one kind are fastest on the same backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flashwasm.backends.calling_runtime import CallingRuntime

__all__ = ["exact_kind", "kind_name"]


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
    for x in operands:
        if x is None:  # The quickest way for what most calls leave out.
            kind.append(None)
        elif type(x) is np.ndarray:
            kind.append((x.shape, x.base is not None and runtime.holds(x)))
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
    words = [_word(x) for x in operands if x is not None]
    return f"{operation} {' '.join(words)} ({threads} threads, {variant})"


def _word(x: Any) -> str:
    """Return an operand as a short text: ``512x64`` in linear memory, ``512x64*`` outside."""
    if isinstance(x, int):
        return f"k={_near(x)}"
    if not isinstance(x, tuple):
        return str(x)
    shape, resident = (x[0], x[1]) if x and isinstance(x[0], tuple) else (x, False)
    lengths = "x".join(str(_near(length)) for length in shape) or "1"
    return lengths + ("" if resident else "*")


def _near(length: int) -> int:
    """Return the power of the square root of two that is nearest to a length, rounded."""
    return round(2 ** (round(2 * math.log2(length)) / 2)) if length > 1 else length
