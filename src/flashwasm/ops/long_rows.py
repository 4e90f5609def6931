"""Rows that are too long for one call of a kernel: each call processes a piece of a row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flashwasm.kernel_table import (
    LAYER_NORM,
    LAYER_NORM_PASSES,
    NORM_PIECE,
    RMS_NORM,
    RMS_NORM_PASSES,
    SOFTMAX,
    SOFTMAX_PASSES,
    SOFTMAX_PIECE,
)
from flashwasm.runtime.work_limits import MOST_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flashwasm.kernel_table import Kernel
    from flashwasm.runtime.launch import Launch

# For each kernel of rows: the kernel of pieces, its passes, and the initial state of a row.
_PIECES = {
    SOFTMAX: (SOFTMAX_PIECE, SOFTMAX_PASSES, (-math.inf, 0.0)),
    LAYER_NORM: (NORM_PIECE, LAYER_NORM_PASSES, (0.0, 0.0)),
    # The mean stays zero, because rms_norm does not centre.
    RMS_NORM: (NORM_PIECE, RMS_NORM_PASSES, (0.0, 0.0)),
}


def run_long_rows(
    launch: Launch, kernel: Kernel, operands: Sequence[int], rows: int, sizes: Sequence[float]
) -> None:
    """Run softmax, layer_norm or rms_norm on long rows, each on one thread.

    Parameters
    ----------
    launch : Launch
        The launch in which the operands were placed.
    kernel : Kernel
        The kernel of whole rows.
    operands : sequence of int
        The kernel's addresses: x, the parameters that all rows share, and the output.
    rows : int
        Number of rows.
    sizes : sequence of float
        The kernel's arguments after the number of rows; the first is the number of columns.
    """
    x, *shared, out = operands
    columns = int(sizes[0])
    pieces, passes, first_state = _PIECES[kernel]
    states_at, states = launch.scratch((rows, 2))
    states[:] = first_state

    def calls(row: int) -> Iterator[tuple[float, ...]]:
        """Yield the arguments of the calls for a row, in order."""
        start, state = 4 * row * columns, states_at + 8 * row
        for number in passes:
            for i, n in column_pieces(columns):
                at = start + 4 * i
                if kernel is SOFTMAX:
                    yield (x + at, out + at, state, n, number)
                    continue
                parameters = [p and p + 4 * i for p in (*shared, 0)[:2]]
                yield (x + at, *parameters, out + at, state, n, *sizes, number)

    launch.run_tasks(pieces, (calls(row) for row in range(rows)))


def column_pieces(columns: int) -> Iterator[tuple[int, int]]:
    """Cut a long row into pieces (first column, number of columns).

    They begin at multiples of 4096, as the kernels require.
    """
    for i in range(0, columns, MOST_ELEMENTS):
        yield i, min(MOST_ELEMENTS, columns - i)
