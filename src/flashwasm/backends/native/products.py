"""Matrix products with NumPy's BLAS, in pieces of some milliseconds."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import new_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits
    from flashwasm.backends.native.threads import Threads

    Array = NDArray[Any]

__all__ = ["multiply"]

# Multiply-adds of one piece, about a millisecond on one thread.
_PRODUCTS = 1 << 26
# Minimum number of rows or columns in a piece, because BLAS packs the other operand again for each.
_FEWEST = 64


def multiply(a: Array, b: Array, bias: Array | None, threads: Threads, limits: Limits) -> Array:
    """Multiply as `flashwasm.backends.backend.Backend.matmul` specifies."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = new_array((*batch, m, n))
    rows = math.prod((*batch, m))
    if b.ndim == 2 and a.flags.c_contiguous:
        # All matrices of the batch share the right operand, so they form one matrix of more rows.
        pieces = _pieces(a.reshape(rows, k), b, out.reshape(rows, n))
    else:
        count = math.prod(batch)
        x = np.broadcast_to(a, (*batch, m, k)).reshape(count, m, k)
        y = np.broadcast_to(b, (*batch, k, n)).reshape(count, k, n)
        pieces = _batch_pieces(x, y, out.reshape(count, m, n))
    tasks: list[Callable[[], None]] = [partial(_multiply, *piece, bias) for piece in pieces]
    threads.run(tasks, limits)
    return out


def _batch_pieces(a: Array, b: Array, out: Array) -> Iterator[tuple[Array, Array, Array, slice]]:
    """Yield groups of whole matrices with the work of one piece, or the pieces of each matrix."""
    count, m, n = out.shape
    step = _PRODUCTS // max(m * n * a.shape[-1], 1)
    if step < 2:
        for i in range(count):
            yield from _pieces(a[i], b[i], out[i])
        return
    for i in range(0, count, step):
        some = slice(i, i + step)
        yield a[some], b[some], out[some], slice(None)


def _pieces(a: Array, b: Array, out: Array) -> Iterator[tuple[Array, Array, Array, slice]]:
    """Yield pieces of two matrices and of their product: some rows, or some columns."""
    (m, k), n = a.shape, b.shape[1]
    by_rows = m >= n
    line = (n if by_rows else m) * k
    step = max(_PRODUCTS // max(line, 1), _FEWEST)
    for i in range(0, m if by_rows else n, step):
        some = slice(i, i + step)
        if by_rows:
            yield a[some], b, out[some], slice(None)
        else:
            yield a, b[:, some], out[:, some], some


def _multiply(a: Array, b: Array, out: Array, columns: slice, bias: Array | None) -> None:
    """Multiply a piece, and add the bias of its columns."""
    np.matmul(a, b, out=out)
    if bias is not None:
        out += bias[columns]
