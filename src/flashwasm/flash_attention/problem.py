"""What one call of attention is to compute, checked, and how it is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.errors import DTypeError, ShapeError
from flashwasm.flash_attention.attention_options import (
    Rules,
    checked_diagonals,
    checked_rules,
    is_causal,
)
from flashwasm.kernel_table import ATTENTION_MAX_DIM, STORED_ROWS
from flashwasm.validation import as_array, broadcast, floats, is_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.attention_options import Causal
    from flashwasm.flash_attention.operands import Keys

    Array = NDArray[Any]

_MATRIX_AXES = 3  # heads, rows, columns


class Storage(NamedTuple):
    """How keys and values are stored, and where; scales of rows have shape (..., Hk, capacity)."""

    kind: int = STORED_ROWS
    capacity: int = 0
    k_scales: Array | None = None
    v_scales: Array | None = None
    located: Keys | None = None

    def part(self, cut: Callable[[Array], Array]) -> Storage:
        """Return the storage of a part of the leading axes or heads, to be located anew."""
        if self.k_scales is None or self.v_scales is None:
            return self._replace(located=None)
        scales = (cut(self.k_scales), cut(self.v_scales))
        return Storage(self.kind, self.capacity, *scales)


_ROWS = Storage()


@dataclass(frozen=True)
class Problem:
    """Operands of attention with equal numbers of axes: leading ones, heads, rows, columns.

    Attributes
    ----------
    q, k, v : numpy.ndarray
        Shapes (..., Hq, Lq, D), (..., Hk, Lk, D), (..., Hk, Lk, Dv); leading axes of length one
        repeat.
    mask : numpy.ndarray or None
        Boolean or float; every axis may have length one.
    lead : tuple of int
        The leading axes that all broadcast to.
    diagonals, lengths, numbers : numpy.ndarray
        Of shape ``lead``: query i's diagonal is key i + diagonal; keys that count; the number of
        the entry, by which dropout draws.
    first : (int, int)
        Numbers of the first head and of the first query, likewise.
    rules : Rules
        What holds for every leading index.
    storage : Storage
        How keys and values are stored.
    """

    q: Array
    k: Array
    v: Array
    mask: Array | None
    lead: tuple[int, ...]
    diagonals: Array
    lengths: Array
    numbers: Array
    rules: Rules
    first: tuple[int, int] = (0, 0)
    storage: Storage = _ROWS

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (*self.lead, *self.q.shape[-3:-1], self.v.shape[-1])

    @property
    def group(self) -> int:
        """Query heads to a key head."""
        heads, key_heads = int(self.q.shape[-3]), int(self.k.shape[-3])
        return heads // max(key_heads, 1)

    def halves(self) -> Iterator[tuple[tuple[Any, ...], Problem]]:
        """Cut in two along the outermost axis that can be, each with its index into the output.

        Yields nothing where there is nothing left to cut.
        """
        heads, key_heads, queries = self.q.shape[-3], self.k.shape[-3], self.q.shape[-2]
        if self.lead and self.lead[0] == 1:
            yield (0,), self._lead_part(0)
        elif self.lead:
            for part in _two_parts(self.lead[0]):
                yield (part,), self._lead_part(part)
        elif key_heads > 1:
            for part in _two_parts(key_heads):
                wide = slice(part.start * self.group, part.stop * self.group)
                yield (wide,), self._heads(wide, part)
        elif heads > 1:
            for part in _two_parts(heads):
                yield (part,), self._heads(part, slice(None))
        elif queries > 1:
            for part in _two_parts(queries):
                yield (slice(None), part), self._queries(part)

    def _lead_part(self, part: int | slice) -> Problem:
        def cut(x: Array) -> Array:
            if x.shape[0] == 1:
                return x[0] if isinstance(part, int) else x
            return x[part]

        count = (part.stop - part.start,) if isinstance(part, slice) else ()
        return replace(
            self,
            q=cut(self.q),
            k=cut(self.k),
            v=cut(self.v),
            mask=None if self.mask is None else cut(self.mask),
            lead=(*count, *self.lead[1:]),
            diagonals=self.diagonals[part],
            lengths=self.lengths[part],
            numbers=self.numbers[part],
            storage=self.storage.part(cut),
        )

    def _heads(self, heads: slice, key_heads: slice) -> Problem:
        mask = self.mask
        if mask is not None and mask.shape[-3] > 1:
            mask = mask[heads]
        q, k, v = self.q[heads], self.k[key_heads], self.v[key_heads]
        first = (self.first[0] + heads.start, self.first[1])
        rules = self.rules.of_heads(heads)
        storage = self.storage.part(lambda x: x[key_heads])
        return replace(self, q=q, k=k, v=v, mask=mask, rules=rules, first=first, storage=storage)

    def _queries(self, part: slice) -> Problem:
        mask = self.mask
        if mask is not None and mask.shape[-2] > 1:
            mask = mask[:, part]
        diagonals = self.diagonals + part.start
        first = (self.first[0], self.first[1] + part.start)
        return replace(self, q=self.q[:, part], mask=mask, diagonals=diagonals, first=first)


def _two_parts(size: int) -> list[slice]:
    return [slice(0, size // 2), slice(size // 2, size)] if size else []


def checked_problem(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    causal: Causal = False,
    mask: ArrayLike | None = None,
    kv_lengths: ArrayLike | None = None,
    storage: Storage = _ROWS,
    **options: Any,
) -> Problem:
    """Check what the user gave and bring it into one form. What a cache stores is right."""
    arrays: dict[str, Array] = {"q": floats(q, "q", at_least=2)}
    for name, x in (("k", k), ("v", v)):
        given = storage.kind == STORED_ROWS
        arrays[name] = floats(x, name, at_least=2) if given else np.asarray(x)
    arrays = {name: x[None] if x.ndim == 2 else x for name, x in arrays.items()}
    check_matrices(**arrays)
    shapes = {name: x.shape[:-3] for name, x in arrays.items()}
    heads, queries, dim = arrays["q"].shape[-3:]
    keys = arrays["k"].shape[-2]
    checked_mask = None if mask is None else _checked_mask(mask, (heads, queries, keys))
    if checked_mask is not None:
        shapes["mask"] = checked_mask.shape[:-3]
    lead = broadcast(shapes, "leading axes")
    lengths = _checked_lengths(kv_lengths, keys, lead)
    return Problem(
        q=_with_axes(arrays["q"], len(lead)),
        k=_with_axes(arrays["k"], len(lead)),
        v=_with_axes(arrays["v"], len(lead)),
        mask=None if checked_mask is None else _with_axes(checked_mask, len(lead)),
        lead=lead,
        diagonals=checked_diagonals(causal, queries, keys, lengths),
        lengths=lengths,
        numbers=np.arange(math.prod(lead)).reshape(lead),
        rules=checked_rules(heads, dim, causal=is_causal(causal), **options),
        storage=storage,
    )


def output_shape(problem: Problem, *inputs: ArrayLike) -> tuple[int, ...]:
    """Return the output's shape as the user sees it: without a head axis where none was given."""
    if not problem.lead and all(np.ndim(x) == 2 for x in inputs):
        return problem.shape[-2:]
    return problem.shape


def _with_axes(x: Array, lead: int) -> Array:
    """Add leading axes of length one."""
    missing = lead + _MATRIX_AXES - x.ndim
    return x.reshape((1,) * missing + x.shape) if missing else x


def check_matrices(q: Array, k: Array, v: Array) -> None:
    """Check that heads, lengths and dimensions agree."""
    if k.shape[-1] != q.shape[-1]:
        message = f"k: expected head dimension {q.shape[-1]}, that of q, got shape {k.shape}"
        raise ShapeError(message)
    if v.shape[-3:-1] != k.shape[-3:-1]:
        message = f"v: expected heads and length {k.shape[-3:-1]}, those of k, got shape {v.shape}"
        raise ShapeError(message)
    heads, key_heads = q.shape[-3], k.shape[-3]
    if heads != key_heads and (key_heads == 0 or heads % key_heads):
        message = f"q: expected a multiple of the {key_heads} heads of k, got {heads} heads"
        raise ShapeError(message)
    for name, x in (("q", q), ("v", v)):
        if x.shape[-1] > ATTENTION_MAX_DIM:
            message = (
                f"{name}: expected a head dimension of at most {ATTENTION_MAX_DIM}, "
                f"got shape {x.shape}"
            )
            raise ShapeError(message)


def _checked_mask(mask: ArrayLike, shape: tuple[int, int, int]) -> Array:
    """Return a boolean or float mask of three axes or more that broadcasts to the scores."""
    array = as_array(mask, "mask")
    if array.dtype != np.bool_ and not is_float(array.dtype):
        message = f"mask: expected bool (True takes part) or float (added), got {array.dtype}"
        raise DTypeError(message)
    array = array.reshape((1,) * (_MATRIX_AXES - array.ndim) + array.shape)
    if any(size not in {1, full} for size, full in zip(array.shape[-3:], shape, strict=True)):
        message = (
            f"mask: expected a shape that broadcasts to (..., {shape[0]}, {shape[1]}, {shape[2]}), "
            f"got {np.shape(mask)}"
        )
        raise ShapeError(message)
    return array


def _checked_lengths(kv_lengths: ArrayLike | None, keys: int, lead: tuple[int, ...]) -> Array:
    """Return how many keys count, for each leading index."""
    if kv_lengths is None:
        return np.full(lead, keys)
    lengths = as_array(kv_lengths, "kv_lengths")
    if lengths.dtype.kind not in "iu":
        message = f"kv_lengths: expected integers, got {lengths.dtype}"
        raise DTypeError(message)
    if lengths.size and not (0 <= int(lengths.min()) <= int(lengths.max()) <= keys):
        message = f"kv_lengths: expected lengths from 0 to {keys}, the keys, got {lengths}"
        raise ShapeError(message)
    try:
        return np.broadcast_to(lengths.astype(np.int64), lead)
    except ValueError:
        message = f"kv_lengths: expected a shape that broadcasts to {lead}, got {lengths.shape}"
        raise ShapeError(message) from None
