"""Modifiers of the scores: the checked options of attention, in the form that the kernel reads."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.integer_checks import integers
from flashwasm.kernel_table import ATTENTION_OPEN
from flashwasm.validation import finite_float, floats, kernel_float, narrowed, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.options import AttentionOptions, Causal, Window

    Array = NDArray[Any]

_CHOICES = "False, True (where Lq == Lk), 'top_left', 'bottom_right', an int or an integer array"


@dataclass(frozen=True)
class Dropout:
    """Dropout of weights.

    Attributes
    ----------
    threshold : int
        A weight is dropped if its random number of 32 bits is less than this; 0 drops none.
    kept_scale : float
        Factor of the remaining weights, 1 / (1 - dropout).
    seed_low, seed_high : int
        Lower and upper 32 bits of the seed.
    """

    threshold: int = 0
    kept_scale: float = 1.0
    seed_low: int = 0
    seed_high: int = 0


# The usual case, so the object is shared.
_NO_DROPOUT = Dropout()


@dataclass(frozen=True)
class ScoreModifiers:
    """Checked options that are the same for every leading index and query.

    Attributes
    ----------
    before, after : int
        Maximum number of keys that a query sees before and after its diagonal; ``ATTENTION_OPEN``
        means all. The causal rule makes ``after`` 0.
    scale : float
        Factor of the scores.
    softcap : float
        Bound of the magnitude of scores, or 0 for none.
    alibi : numpy.ndarray of float32, shape (Hq,), or None
        ALiBi slope of each query head.
    sinks : numpy.ndarray of float32, shape (Hq,), or None
        One more logit for each query head.
    dropout : Dropout
        Dropout of weights.
    """

    before: int
    after: int
    scale: float
    softcap: float
    alibi: Array | None
    sinks: Array | None
    dropout: Dropout

    def of_heads(self, heads: slice) -> ScoreModifiers:
        """Return the modifiers of some of the query heads."""
        alibi = None if self.alibi is None else self.alibi[heads]
        return replace(self, alibi=alibi, sinks=None if self.sinks is None else self.sinks[heads])


def checked_modifiers(heads: int, dim: int, options: AttentionOptions) -> ScoreModifiers:
    """Check the options for Hq query heads of dimension D, and return them in one form."""
    before, after = _checked_window(options["window"])
    softcap, scale = options["softcap"], options["scale"]
    cap = 0.0 if softcap is None else kernel_float(softcap, "softcap")
    if cap < 0:
        message = f"softcap: expected a positive number, or 0 or None for none, got {softcap}"
        raise ShapeError(message)
    return ScoreModifiers(
        before=before,
        after=min(after, 0) if is_causal(options["causal"]) else after,
        scale=1 / math.sqrt(max(dim, 1)) if scale is None else kernel_float(scale, "scale"),
        softcap=cap,
        alibi=_number_of_each_head(options["alibi_slopes"], "alibi_slopes", heads),
        sinks=_number_of_each_head(options["sinks"], "sinks", heads),
        dropout=_checked_dropout(options["dropout"], options["seed"]),
    )


def is_causal(causal: Causal) -> bool:
    """Return True if there is a causal rule. Offset 0 is a rule; False and None are not."""
    return bool(causal) if isinstance(causal, (bool, np.bool_)) else causal is not None


def checked_diagonals(causal: Causal, queries: int, keys: int, lengths: Array) -> Array:
    """Return the offset of the diagonal for each leading index; 0 where ``causal`` is False.

    Parameters
    ----------
    causal : bool, str, int or array_like of int
        The option.
    queries, keys : int
        Lq and Lk.
    lengths : numpy.ndarray of int, shape of the leading axes
        Numbers of keys that are not padding. "bottom_right" aligns the last of them with the last
        query.
    """
    if not is_causal(causal):
        return np.zeros(lengths.shape, np.int64)
    if isinstance(causal, (bool, np.bool_)):
        if queries != keys:
            message = (
                f"causal: True is ambiguous for Lq = {queries} and Lk = {keys}; "
                f"expected one of {_CHOICES}"
            )
            raise ShapeError(message)
        return np.zeros(lengths.shape, np.int64)
    if isinstance(causal, str):
        if causal == "top_left":
            return np.zeros(lengths.shape, np.int64)
        if causal == "bottom_right":
            return np.asarray(lengths - queries)
        message = f"causal: expected one of {_CHOICES}, got {shown(causal)}"
        raise ShapeError(message)
    return _checked_offsets(causal, lengths.shape, ATTENTION_OPEN - queries)


def _checked_offsets(causal: ArrayLike, lead: tuple[int, ...], most: int) -> Array:
    """Return offsets that the user gave, one for each leading index, from -``most`` to ``most``.

    Queries and keys that fit into linear memory together are fewer than ATTENTION_OPEN. An offset
    beyond ATTENTION_OPEN - Lq therefore has the same effect as that number, but it could overflow
    when the kernel adds a position. A diagonal further to the right would also hide the first keys,
    since an open window is one of ATTENTION_OPEN keys to the kernel.
    """
    # An integer may be too large for NumPy.
    number = max(-most, min(causal, most)) if isinstance(causal, int) else causal
    offsets = integers(number, "causal", f"one of {_CHOICES}")
    check_room(lead, np.int64)
    clipped = np.clip(offsets, -most, most).astype(np.int64)
    try:
        return np.broadcast_to(clipped, lead)
    except ValueError:
        message = (
            f"causal: expected offsets that broadcast to leading axes {lead}, got {offsets.shape}"
        )
        raise ShapeError(message) from None


def _checked_window(window: Window | None) -> tuple[int, int]:
    """Return the maximum number of keys that a query sees before and after its diagonal."""
    if window is None:
        return ATTENTION_OPEN, ATTENTION_OPEN
    sequence = isinstance(window, (tuple, list)) or (isinstance(window, np.ndarray) and window.ndim)
    if not sequence or len(window) != 2:
        message = f"window: expected (left, right), got {shown(window)}"
        raise ShapeError(message)
    sides = []
    for side in window:
        if side is None:
            sides.append(ATTENTION_OPEN)
        elif isinstance(side, bool) or not isinstance(side, (int, np.integer)):
            message = f"window: expected integers or None, got {shown(window)}"
            raise DTypeError(message)
        elif side == -1:
            sides.append(ATTENTION_OPEN)
        elif side < 0:
            message = (
                f"window: expected sides of at least 0, or -1 or None for open, got {shown(window)}"
            )
            raise ShapeError(message)
        else:
            sides.append(min(int(side), ATTENTION_OPEN))
    return sides[0], sides[1]


def _checked_dropout(probability: float, seed: int | None) -> Dropout:
    """Check the probability and the seed. If the seed is None, the operating system draws one."""
    if seed is None and isinstance(probability, float) and probability == 0.0:
        return _NO_DROPOUT
    p = finite_float(probability, "dropout")
    if not 0 <= p < 1:
        message = f"dropout: expected a probability from 0 to less than 1, got {probability}"
        raise ShapeError(message)
    if seed is None:
        seed = int.from_bytes(os.urandom(8), "little")
    elif isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        message = f"seed: expected an integer or None, got {shown(seed)}"
        raise DTypeError(message)
    elif not 0 <= seed < 1 << 64:
        message = f"seed: expected at least 0 and less than 2**64, got {shown(seed)}"
        raise ShapeError(message)
    # A random number of 32 bits is below the threshold with probability p, to within 2**-32.
    threshold = min(round(p * 2**32), 2**32 - 1)
    return Dropout(threshold, 1 / (1 - p), int(seed) & 0xFFFFFFFF, int(seed) >> 32)


def _number_of_each_head(x: ArrayLike | None, name: str, heads: int) -> Array | None:
    """Return checked float32 numbers, shape (Hq,), or None for None."""
    if x is None:
        return None
    array = floats(x, name)
    if array.shape != (heads,):
        message = f"{name}: expected shape ({heads},), one for each query head, got {array.shape}"
        raise ShapeError(message)
    return narrowed(array)
