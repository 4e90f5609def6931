"""The options of attention that hold for every query: who sees whom, and what scores become."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from flashwasm.arrays import as_array, finite_float, floats
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.kernels import ATTENTION_OPEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]
    Causal: TypeAlias = bool | str | int | ArrayLike
    Window: TypeAlias = Sequence[int | None]

_CHOICES = "False, True (where Lq == Lk), 'top_left', 'bottom_right', an int or an integer array"


@dataclass(frozen=True)
class Rules:
    """What holds for every leading index and query.

    Attributes
    ----------
    before, after : int
        How far a query sees from its diagonal; ``ATTENTION_OPEN`` for no bound.
    scale, softcap : float
        Factor of the scores, and their bound or 0.
    alibi, sinks : numpy.ndarray or None
        Shape (Hq,): slopes, and one more logit a head.
    """

    before: int
    after: int
    scale: float
    softcap: float
    alibi: Array | None
    sinks: Array | None

    def of_heads(self, heads: slice) -> Rules:
        """Return the rules of some of the query heads."""
        alibi = None if self.alibi is None else self.alibi[heads]
        return replace(self, alibi=alibi, sinks=None if self.sinks is None else self.sinks[heads])


def checked_rules(
    heads: int,
    dim: int,
    *,
    causal: bool,
    scale: float | None = None,
    window: Window | None = None,
    softcap: float | None = None,
    alibi_slopes: ArrayLike | None = None,
    sinks: ArrayLike | None = None,
) -> Rules:
    """Check the options and bring them into one form."""
    before, after = _checked_window(window)
    cap = 0.0 if softcap is None else finite_float(softcap, "softcap")
    if cap < 0:
        message = f"softcap: expected a positive number, or 0 or None for none, got {softcap}"
        raise ShapeError(message)
    return Rules(
        before=before,
        after=min(after, 0) if causal else after,
        scale=1 / math.sqrt(max(dim, 1)) if scale is None else finite_float(scale, "scale"),
        softcap=cap,
        alibi=_a_number_a_head(alibi_slopes, "alibi_slopes", heads),
        sinks=_a_number_a_head(sinks, "sinks", heads),
    )


def is_causal(causal: Causal) -> bool:
    """Return whether there is a causal rule."""
    return causal is not False and causal is not None


def checked_diagonals(causal: Causal, queries: int, keys: int, lengths: Array) -> Array:
    """Return the diagonal's offset for each leading index; 0 where there is no causal rule.

    ``lengths`` has the keys that count for each, of which "bottom_right" aligns the last.
    """
    offset: Array
    if not is_causal(causal):
        offset = np.array(0)
    elif causal is True:
        if queries != keys:
            message = (
                f"causal: True is ambiguous for Lq = {queries} and Lk = {keys}; "
                f"expected one of {_CHOICES}"
            )
            raise ShapeError(message)
        offset = np.array(0)
    elif isinstance(causal, str):
        named = {"top_left": np.array(0), "bottom_right": lengths - queries}
        if causal not in named:
            message = f"causal: expected one of {_CHOICES}, got {causal!r}"
            raise ShapeError(message)
        offset = named[causal]
    else:
        offset = as_array(causal, "causal")
        if offset.dtype.kind not in "iu":
            message = f"causal: expected one of {_CHOICES}, got {offset.dtype}"
            raise DTypeError(message)
    try:
        # Clipped past any sequence that fits linear memory, so that positions can be added.
        clipped = np.clip(offset, -ATTENTION_OPEN, ATTENTION_OPEN).astype(np.int64)
        return np.broadcast_to(clipped, lengths.shape)
    except ValueError:
        message = (
            f"causal: expected offsets that broadcast to leading axes {lengths.shape}, "
            f"got {offset.shape}"
        )
        raise ShapeError(message) from None


def _checked_window(window: Window | None) -> tuple[int, int]:
    """Return how far a query sees before and after its diagonal."""
    if window is None:
        return ATTENTION_OPEN, ATTENTION_OPEN
    if isinstance(window, str) or np.ndim(window) != 1 or len(window) != 2:  # type: ignore[arg-type]
        message = f"window: expected (left, right), got {window!r}"
        raise ShapeError(message)
    sides = []
    for side in window:
        if side is None or (side == -1 and not isinstance(side, bool)):
            sides.append(ATTENTION_OPEN)
        elif isinstance(side, bool) or not isinstance(side, (int, np.integer)):
            message = f"window: expected integers or None, got {window!r}"
            raise DTypeError(message)
        elif side < 0:
            message = (
                f"window: expected sides of at least 0, or -1 or None for open, got {window!r}"
            )
            raise ShapeError(message)
        else:
            sides.append(min(int(side), ATTENTION_OPEN))
    return sides[0], sides[1]


def _a_number_a_head(x: ArrayLike | None, name: str, heads: int) -> Array | None:
    if x is None:
        return None
    array = floats(x, name)
    if array.shape != (heads,):
        message = f"{name}: expected shape ({heads},), one for each query head, got {array.shape}"
        raise ShapeError(message)
    return array.astype(np.float32)
