"""Products of matrices on a GPU, and scores of rows with rows: blocks of one shader."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.gpu.device import shader
from flashwasm.backends.gpu.parts import halved_until, slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits, Metric
    from flashwasm.backends.gpu.device import Binding, Device

    Array = NDArray[Any]

__all__ = ["matmul", "run_scores"]

# Rows and columns of a block, and the inner dimension of a slice, as in product.wgsl.
_BLOCK = 64
_SLICE = 16
# Iterations of the shader's loops for a slice.
_ITERATIONS = 28
_METRICS: dict[Metric, int] = {"dot": 0, "cosine": 1, "l2": 2}


def matmul(device: Device, a: Array, b: Array, bias: Array | None, limits: Limits) -> Array:
    """Return a (..., m, k) times b (..., k, n), plus a bias (n,); leading axes broadcast.

    The innermost loop goes through the inner dimension: each part continues the previous sums.
    """
    (m, k), n = a.shape[-2:], b.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((math.prod(lead), m, n), np.float32)
    if out.size == 0:
        return out.reshape(*lead, m, n)
    left, right = _matrices(a, lead), _matrices(b, lead)
    added = np.zeros(n, np.float32) if bias is None else bias
    source = shader("workgroups", "elementary", "product", ROWS_OF_B=False, METRIC=0)

    def fits(sizes: list[int]) -> bool:
        batch, rows, columns, inner = sizes
        most = max(rows * inner, inner * columns, rows * columns)
        return 4 * batch * most <= device.most_bytes and (
            batch * rows * columns * inner <= device.most_products
        )

    longest = min(k, device.most_iterations // _ITERATIONS * _SLICE)
    steps = halved_until(fits, [len(out), m, n, longest], (1, _BLOCK, _BLOCK, _SLICE))
    cuts = [slices(size, step) for size, step in zip((len(out), m, n), steps, strict=False)]
    for entries, rows, columns in product(*cuts):
        shape = out[entries, rows, columns].shape
        result = device.room("result", 4 * math.prod(shape))
        bias_of_columns = device.write("bias", added[columns])
        for inner in slices(k, steps[3]):
            limits.check()
            x = left[entries if len(left) > 1 else slice(None), rows, inner]
            y = right[entries if len(right) > 1 else slice(None), inner, columns]
            operands = (device.write("a", x), device.write("b", y), bias_of_columns, result)
            parameters = _parameters(
                shape,
                inner.stop - inner.start,
                batch_a=x[0].size if len(left) > 1 else 0,
                batch_b=y[0].size if len(right) > 1 else 0,
                begins=inner.start == 0,
                ends=inner.stop == k,
                has_bias=bias is not None,
            )
            device.run(source, parameters, operands, _blocks(shape))
            # Wait for the writes, so that copies of parts do not accumulate in memory.
            device.wait()
        out[entries, rows, columns] = device.read(result, shape, np.float32)
    return out.reshape(*lead, m, n)


def run_scores(
    device: Device, queries: Binding, corpus: Binding, shape: tuple[int, int, int], metric: Metric
) -> Binding:
    """Score queries (n, D) with rows (N, D), and return the scores, which stay on the device.

    Parameters
    ----------
    device : Device
        The device.
    queries, corpus : Binding
        The vectors. Those of "cosine" have unit length.
    shape : (int, int, int)
        n, N and D.
    metric : {"cosine", "dot", "l2"}
        The score.
    """
    n, rows, dim = shape
    source = shader("workgroups", "elementary", "product", ROWS_OF_B=True, METRIC=_METRICS[metric])
    scores = device.room("scores", 4 * n * rows)
    nothing = device.room("bias", 0)
    parameters = _parameters((1, n, rows), dim)
    device.run(source, parameters, (queries, corpus, nothing, scores), _blocks((1, n, rows)))
    return scores


def _parameters(
    shape: tuple[int, ...],
    inner: int,
    *,
    batch_a: int = 0,
    batch_b: int = 0,
    begins: bool = True,
    ends: bool = True,
    has_bias: bool = False,
) -> tuple[int, ...]:
    """Return the fields of ``Params`` of product.wgsl after the first, for a result's shape."""
    _, rows, columns = shape
    down, across = -(-rows // _BLOCK), -(-columns // _BLOCK)
    flags = (int(begins), int(ends), int(has_bias))
    return (down, across, rows, columns, inner, batch_a, batch_b, *flags)


def _blocks(shape: tuple[int, ...]) -> int:
    """Return the number of blocks of a result."""
    batch, rows, columns = shape
    return batch * -(-rows // _BLOCK) * -(-columns // _BLOCK)


def _matrices(x: Array, lead: tuple[int, ...]) -> Array:
    """Return matrices along one axis: one for each batch entry, or one that all entries share."""
    if math.prod(x.shape[:-2]) == 1:
        return x.reshape(1, *x.shape[-2:])
    return np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, *x.shape[-2:])
