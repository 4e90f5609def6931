"""The inputs of attention: their checks, their common form, and their halves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.flash_attention.operands import ROWS, KVStorage
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.flash_attention.score_modifiers import (
    ScoreModifiers,
    checked_diagonals,
    checked_modifiers,
)
from flashwasm.integer_checks import key_lengths
from flashwasm.kernel_table import ATTENTION_MAX_DIM, STORED_ROWS
from flashwasm.summaries import number_of
from flashwasm.validation import as_array, broadcast, floats, is_float

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.flash_attention.options import AttentionOptions

    Array = NDArray[Any]

_MATRIX_AXES = 3  # heads, rows, columns


@dataclass(frozen=True)
class AttentionInputs:
    """Checked operands and options of attention, all with the same number of leading axes.

    Attributes
    ----------
    q, k, v : numpy.ndarray
        Shapes (..., Hq, Lq, D), (..., Hk, Lk, D) and (..., Hk, Lk, Dv). A leading axis of length
        one is broadcast.
    mask : numpy.ndarray or None
        Boolean or float, of shape (..., Hq, Lq, Lk), where every axis may have length one.
    lead : tuple of int
        Lengths of the leading axes, after all operands have been broadcast.
    diagonals : numpy.ndarray of int, shape ``lead``
        Offsets of the diagonals: the diagonal of query i is key i + offset.
    lengths : numpy.ndarray of int, shape ``lead``
        Number of keys that may be seen, from the first.
    numbers : numpy.ndarray of int, shape ``lead``
        Numbers of the batch entries, on which the random numbers of dropout depend.
    modifiers : ScoreModifiers
        The changes to the scores.
    first : (int, int)
        Numbers of the first head and of the first query, which are not 0 if these inputs are a part
        of others. Dropout depends on them too.
    storage : KVStorage
        The format of keys and values.
    head_axis : bool
        False if the user's arrays have two axes, so that the output gets no head axis either.
    """

    q: Array
    k: Array
    v: Array
    mask: Array | None
    lead: tuple[int, ...]
    diagonals: Array
    lengths: Array
    numbers: Array
    modifiers: ScoreModifiers
    first: tuple[int, int] = (0, 0)
    storage: KVStorage = ROWS
    head_axis: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output, with a head axis."""
        return (*self.lead, *self.q.shape[-3:-1], self.v.shape[-1])

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the output as the user gets it."""
        return self.shape if self.head_axis else self.shape[-2:]

    @property
    def group(self) -> int:
        """Number of query heads that read the same key head; 1 if there is no head."""
        heads, key_heads = int(self.q.shape[-3]), int(self.k.shape[-3])
        return max(heads // max(key_heads, 1), 1)

    def halves(self) -> Iterator[tuple[tuple[Any, ...], AttentionInputs]]:
        """Yield the halves along the outermost axis that can be split, or nothing.

        Each half comes with its index into the output. The axes are, in this order: the leading
        axes, key heads, query heads of one key head, and queries. A leading axis of length one is
        removed instead of split.
        """
        heads, key_heads, queries = self.q.shape[-3], self.k.shape[-3], self.q.shape[-2]
        if self.lead and self.lead[0] == 1:
            yield (0,), self._at_leading(0)
        elif self.lead:
            for part in _two_slices(self.lead[0]):
                yield (part,), self._at_leading(part)
        elif key_heads > 1:
            for part in _two_slices(key_heads):
                of_queries = slice(part.start * self.group, part.stop * self.group)
                yield (of_queries,), self._at_heads(of_queries, part)
        elif heads > 1:
            for part in _two_slices(heads):
                yield (part,), self._at_heads(part, slice(None))
        elif queries > 1:
            for part in _two_slices(queries):
                yield (slice(None), part), self._at_queries(part)

    def _at_leading(self, part: int | slice) -> AttentionInputs:
        """Return the inputs at some indices of the first axis; an integer removes the axis."""

        def cut(x: Array) -> Array:
            """Return an operand at the indices; an axis of length one is broadcast."""
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

    def _at_heads(self, heads: slice, key_heads: slice) -> AttentionInputs:
        """Return the inputs at some query heads and the key heads that they read."""
        mask = self.mask
        if mask is not None and mask.shape[-3] > 1:
            mask = mask[heads]
        return replace(
            self,
            q=self.q[heads],
            k=self.k[key_heads],
            v=self.v[key_heads],
            mask=mask,
            modifiers=self.modifiers.of_heads(heads),
            first=(self.first[0] + heads.start, self.first[1]),
            storage=self.storage.part(lambda x: x[key_heads]),
        )

    def _at_queries(self, part: slice) -> AttentionInputs:
        """Return the inputs at some queries."""
        mask = self.mask
        if mask is not None and mask.shape[-2] > 1:
            mask = mask[:, part]
        diagonals = self.diagonals + part.start
        first = (self.first[0], self.first[1] + part.start)
        return replace(self, q=self.q[:, part], mask=mask, diagonals=diagonals, first=first)


def _two_slices(size: int) -> list[slice]:
    """Return slices of the two halves of an axis, or none of an axis of length 0."""
    return [slice(0, size // 2), slice(size // 2, size)] if size else []


def checked_inputs(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    options: AttentionOptions = DEFAULTS,
    storage: KVStorage = ROWS,
) -> AttentionInputs:
    """Check operands and options, and bring them into one form.

    Keys and values of a cache were checked when they were appended.
    """
    queries = floats(q, "q", at_least=2)
    if storage.kind == STORED_ROWS:
        keys, values = floats(k, "k", at_least=2), floats(v, "v", at_least=2)
        most_axes = max(queries.ndim, keys.ndim, values.ndim)
    else:
        keys, values = np.asarray(k), np.asarray(v)
        most_axes = queries.ndim
    given = queries.shape, keys.shape, values.shape
    operands = [x[None] if x.ndim == 2 else x for x in (queries, keys, values)]
    check_matrices(operands, given, "(..., heads, length, dim)")
    queries, keys, values = operands
    shapes = {"q": queries.shape[:-3], "k": keys.shape[:-3], "v": values.shape[:-3]}
    (heads, rows, dim), columns = queries.shape[-3:], keys.shape[-2]
    mask = None
    if options["mask"] is not None:
        mask = _checked_mask(options["mask"], (heads, rows, columns))
        shapes["mask"] = mask.shape[:-3]
    lead = broadcast(shapes, "leading axes")
    check_room((*lead, heads, rows, values.shape[-1]))
    lengths = _checked_lengths(options["kv_lengths"], columns, lead)
    return AttentionInputs(
        q=_with_axes(queries, len(lead)),
        k=_with_axes(keys, len(lead)),
        v=_with_axes(values, len(lead)),
        mask=None if mask is None else _with_axes(mask, len(lead)),
        lead=lead,
        diagonals=checked_diagonals(options["causal"], rows, columns, lengths),
        lengths=lengths,
        numbers=np.arange(math.prod(lead)).reshape(lead),
        modifiers=checked_modifiers(heads, dim, options),
        storage=storage,
        head_axis=bool(lead) or most_axes > 2,
    )


def _with_axes(x: Array, lead: int) -> Array:
    """Return ``x`` with leading axes of length one added, up to ``lead`` of them."""
    missing = lead + _MATRIX_AXES - x.ndim
    return x.reshape((1,) * missing + x.shape) if missing else x


def check_matrices(operands: Sequence[Array], given: Sequence[tuple[int, ...]], axes: str) -> None:
    """Raise ShapeError unless heads, lengths and dimensions agree.

    Parameters
    ----------
    operands : sequence of numpy.ndarray, shape (..., heads, length, dim)
        Queries, keys and values.
    given : sequence of tuple of int
        Their shapes as the user gave them, for the message of an error.
    axes : str
        Meaning of the axes of these shapes.
    """
    (q, k, v), (of_q, of_k, of_v) = operands, given
    if k.shape[-1] != q.shape[-1]:
        message = f"k: expected the head dimension of q, {q.shape[-1]}, got shape {of_k}"
        raise ShapeError(message)
    if v.shape[-3:-1] != k.shape[-3:-1]:
        message = f"v: expected the heads and the length of k, of shape {of_k}, got shape {of_v}"
        raise ShapeError(message)
    heads, key_heads = q.shape[-3], k.shape[-3]
    if heads != key_heads and (key_heads == 0 or heads % key_heads):
        message = (
            f"q: expected a multiple of the {number_of(key_heads, 'heads')} of k, got {heads}: "
            f"shapes q {of_q} and k {of_k}, axes {axes}"
        )
        raise ShapeError(message)
    for name, x, shape in (("q", q, of_q), ("v", v, of_v)):
        if x.shape[-1] > ATTENTION_MAX_DIM:
            message = (
                f"{name}: expected a head dimension of at most {ATTENTION_MAX_DIM}, "
                f"got shape {shape}"
            )
            raise ShapeError(message)


def _checked_mask(mask: ArrayLike, shape: tuple[int, int, int]) -> Array:
    """Return a boolean or float mask of three axes or more that broadcasts to the scores."""
    array = as_array(mask, "mask")
    if array.dtype != np.bool_ and not is_float(array.dtype):
        message = f"mask: expected bool (True: visible) or float (added), got {array.dtype}"
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
    """Return the number of keys that may be seen, for each leading index."""
    if kv_lengths is None:
        return np.full(lead, keys)
    lengths = key_lengths(kv_lengths, keys)
    try:
        return np.broadcast_to(lengths, lead)
    except ValueError:
        message = f"kv_lengths: expected a shape that broadcasts to {lead}, got {lengths.shape}"
        raise ShapeError(message) from None
