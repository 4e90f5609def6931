"""The vectors of an index in linear memory, in the layout of the search kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import INDEX_STORE, METRICS
from flashwasm.runtime.work_limits import MOST_ELEMENTS
from flashwasm.search.growable_array import GrowableArray
from flashwasm.search.kernel_arguments import StoreArguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.launch import Launch
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]
    # Address and array of temporary memory for some vectors.
    Room = tuple[int, Array]

# Number of vectors in a panel.
PANEL = 8
# Rows are padded to whole cache lines. This is the number of floats in one.
_LINE = 16
# Maximum count of numbers that one call stores. It is half of the usual limit, because the call
# computes codes too.
_MOST_NUMBERS = MOST_ELEMENTS // 2
# With components of this magnitude or more, a distance in 16,384 dimensions could overflow. A
# cosine cannot overflow, because the vectors are divided by their lengths first.
LARGEST: dict[Metric, float] = {"cosine": np.inf, "dot": 2.0**55, "l2": 2.0**55}


def row_stride(dim: int) -> int:
    """Return the number of floats in a padded row."""
    return -(-dim // _LINE) * _LINE


class StoredVectors:
    """Vectors by position, prepared for a metric.

    They are stored in rows, one vector after another, or in panels. A panel contains the first
    components of eight vectors, then the second components of these eight, and so on.

    Parameters
    ----------
    runtime : Runtime
        Runtime whose linear memory holds them.
    dim : int
        Length of a vector.
    metric : {"cosine", "dot", "l2"}
        Metric. For "cosine" the vectors are divided by their lengths.
    panels : bool
        True for panels, False for rows.
    coded : bool
        True to store codes too: each vector rounded to 8 bits per component, with a scale of its
        own. The codes have the same layout, rows or panels, as the vectors.
    """

    def __init__(
        self, runtime: Runtime, dim: int, metric: Metric, *, panels: bool, coded: bool
    ) -> None:
        arena, stride = runtime.arena, row_stride(dim)
        self.dim, self.stride, self.metric = dim, stride, METRICS[metric]
        self._runtime = runtime
        self.rows = GrowableArray(arena, (stride,), np.float32)
        self.panels = GrowableArray(arena, (dim, PANEL), np.float32)
        self.codes = GrowableArray(arena, (stride,), np.int8)
        # A panel of codes begins with the sum of each vector's codes, in four bytes each.
        self.code_panels = GrowableArray(arena, (1 + stride // 4, PANEL, 4), np.int8)
        self.scales = GrowableArray(arena, (PANEL,), np.float32)
        self.squares = GrowableArray(arena, (PANEL,), np.float32)
        self.errors = GrowableArray(arena, (PANEL,), np.float32)
        self._by_one = [] if panels else [self.rows, *([self.codes] if coded else [])]
        self._by_eight = [self.panels] if panels else []
        if coded:
            self._by_eight += [self.scales, self.squares]
        if coded and panels:
            self._by_eight += [self.code_panels, self.errors]

    def reserve(self, count: int, between: Callable[[], None] | None = None) -> None:
        """Make room for ``count`` vectors; ``between`` is as in `GrowableArray.reserve`."""
        for column in self._by_one:
            column.reserve(count, between)
        for column in self._by_eight:
            column.reserve(-(-count // PANEL), between)

    def bring_back(self) -> None:
        """Call `GrowableArray.bring_back` on every column."""
        for column in (*self._by_one, *self._by_eight):
            column.bring_back()

    def room(self, launch: Launch, count: int) -> Room:
        """Return temporary memory for `put` to write up to ``count`` vectors at a time."""
        return launch.scratch((max(1, min(_MOST_NUMBERS // self.dim, count)), self.dim))

    def put(
        self,
        launch: Launch,
        x: Array,
        first: int,
        *,
        prepared: bool = False,
        room: Room | None = None,
    ) -> None:
        """Write vectors to consecutive positions, for which `reserve` has made room.

        Parameters
        ----------
        launch : Launch
            Launch to run in.
        x : numpy.ndarray of float32, shape (n, dim)
            Vectors.
        first : int
            Position of the first vector.
        prepared : bool, default False
            True for vectors from `take`, which are already prepared for the metric.
        room : (int, numpy.ndarray), optional
            Result of `room` in this launch. None allocates new memory, until the launch ends.
        """
        address, chunk = self.room(launch, len(x)) if room is None else room
        step = len(chunk)
        arguments = StoreArguments(
            x=address,
            rows=self.rows.address,
            panels=self.panels.address,
            codes=self.codes.address,
            code_panels=self.code_panels.address,
            scales=self.scales.address,
            squares=self.squares.address,
            errors=self.errors.address,
            first=first,
            vector_count=step,
            dim=self.dim,
            metric=METRICS["dot"] if prepared else self.metric,
            code_metric=self.metric,
        )
        for at in range(0, len(x), step):
            part = x[at : at + step]
            self._runtime.copy(chunk[: len(part)], part)
            launch.run_once(
                INDEX_STORE, arguments._replace(first=first + at, vector_count=len(part))
            )

    def take(self, positions: Array) -> Array:
        """Return copies of the prepared vectors at some positions, shape (n, dim)."""
        if self._by_one:
            rows: Array = self.rows.all[positions, : self.dim]
        else:
            rows = self.panels.all[positions // PANEL, :, positions % PANEL]
        return np.ascontiguousarray(rows)

    @property
    def nbytes(self) -> int:
        """Number of bytes of the arrays, including their room for more."""
        return sum(column.nbytes for column in (*self._by_one, *self._by_eight))
