"""The vectors of an index in linear memory, in the layout that its search reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_STORE, METRICS
from flashwasm.search.growable_array import GrowableArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.launch import Launch
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

PANEL = 8
_LINE = 16  # Rows are padded to whole cache lines of floats.
# A call that stores more numbers would keep a deadline or a signal waiting.
_MOST_NUMBERS = 1 << 19
# Greater components would overflow a distance of 16,384 dimensions; a cosine is taken of any.
LARGEST = {"cosine": np.inf, "dot": 2.0**55, "l2": 2.0**55}


def row_stride(dim: int) -> int:
    """Return how many numbers a padded row has."""
    return -(-dim // _LINE) * _LINE


class StoredVectors:
    """Vectors by position, prepared for a metric.

    Parameters
    ----------
    runtime : Runtime
        Where they lie.
    dim : int
        Their length.
    metric : {"cosine", "dot", "l2"}
        For cosine they are brought to unit length.
    panels : bool
        Whether the vectors lie in panels of eight or in rows.
    coded : bool
        Whether there are codes of 8 bits too: beside rows, or with panels in panels of their own.
    """

    def __init__(
        self, runtime: Runtime, dim: int, metric: str, *, panels: bool, coded: bool
    ) -> None:
        arena, stride = runtime.arena, row_stride(dim)
        self.dim, self.stride, self.metric = dim, stride, METRICS[metric]
        self._runtime = runtime
        self.rows = GrowableArray(arena, (stride,), np.float32)
        self.panels = GrowableArray(arena, (dim, PANEL), np.float32)
        self.codes = GrowableArray(arena, (stride,), np.int8)
        self.code_panels = GrowableArray(arena, (stride // 2, PANEL, 2), np.int8)
        self.scales = GrowableArray(arena, (PANEL,), np.float32)
        self.squares = GrowableArray(arena, (PANEL,), np.float32)
        self.errors = GrowableArray(arena, (PANEL,), np.float32)
        self._by_one = [] if panels else [self.rows, *([self.codes] if coded else [])]
        self._by_eight = [self.panels] if panels else []
        if coded:
            self._by_eight += [self.scales, self.squares]
        if coded and panels:
            self._by_eight += [self.code_panels, self.errors]

    def reserve(self, count: int) -> None:
        """Make room for so many vectors."""
        for column in self._by_one:
            column.reserve(count)
        for column in self._by_eight:
            column.reserve(-(-count // PANEL))

    def put(self, op: Launch, x: Array, first: int, *, prepared: bool = False) -> None:
        """Write vectors from a position on, where there is room; prepared ones as they are."""
        step = max(1, min(_MOST_NUMBERS // self.dim, len(x)))
        address, chunk = op.scratch((step, self.dim))
        metric = METRICS["dot"] if prepared else self.metric
        targets = (
            *(self.rows.address, self.panels.address, self.codes.address),
            *(self.code_panels.address, self.scales.address, self.squares.address),
            self.errors.address,
        )
        for at in range(0, len(x), step):
            part = x[at : at + step]
            self._runtime.copy(chunk[: len(part)], part)
            sizes = (first + at, len(part), self.dim, metric, self.metric)
            op.run_once(INDEX_STORE, (address, *targets, *sizes))

    def take(self, begin: int, end: int) -> Array:
        """Return a copy of the prepared vectors at positions [begin, end), shape (n, dim)."""
        if self._by_one:
            return self.rows.all[begin:end, : self.dim].copy()
        first, last = begin // PANEL, -(-end // PANEL)
        rows = self.panels.all[first:last].transpose(0, 2, 1).reshape(-1, self.dim)
        return np.ascontiguousarray(rows[begin - first * PANEL : end - first * PANEL])

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory."""
        return sum(column.nbytes for column in (*self._by_one, *self._by_eight))
