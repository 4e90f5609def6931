"""Cases that compute row by row: softmax, normalisation, pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import ops
from flashwasm.benchmarks.case import Case, normal
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.benchmarks.case import Inputs

    Array = NDArray[Any]


def softmax(x: Array) -> Array:
    """Return softmax over the last axis, in NumPy."""
    e: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    total: Array = e.sum(axis=-1, keepdims=True)
    return e / total


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Return layer normalisation over the last axis, in NumPy."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    result: Array = centred / np.sqrt(variance + x.dtype.type(1e-5)) * weight + bias
    return result


def softmax_case(rows: int, columns: int) -> Case:
    """Return a case of softmax over the rows of a matrix."""
    return Case(
        operation="softmax",
        size=f"{rows}x{columns}",
        make=normal((rows, columns)),
        run=ops.softmax,
        baseline=softmax,
        oracle=reference.softmax,
        bound=bounds.softmax,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: max, exp, sum, divide",
    )


def layer_norm_case(rows: int, columns: int) -> Case:
    """Return a case of layer normalisation of rows."""
    return Case(
        operation="layer_norm",
        size=f"{rows}x{columns}",
        make=normal((rows, columns), (columns,), (columns,)),
        run=ops.layer_norm,
        baseline=layer_norm,
        oracle=reference.layer_norm,
        bound=bounds.layer_norm,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: mean, variance, scale",
    )


def rms_norm_case(rows: int, columns: int) -> Case:
    """Return a case of RMS normalisation of rows."""

    def baseline(x: Array, weight: Array) -> Array:
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        result: Array = x / np.sqrt(mean_square + x.dtype.type(1e-5)) * weight
        return result

    return Case(
        operation="rms_norm",
        size=f"{rows}x{columns}",
        make=normal((rows, columns), (columns,)),
        run=ops.rms_norm,
        baseline=baseline,
        oracle=reference.rms_norm,
        bound=bounds.rms_norm,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: mean square, scale",
    )


def mean_pool_case(segments: int, length: int, columns: int) -> Case:
    """Return a case of the means of packed sequences."""

    def make(rng: np.random.Generator) -> Inputs:
        offsets = np.arange(0, segments * length + 1, length, dtype=np.int32)
        return rng.standard_normal((segments * length, columns), np.float32), offsets

    def baseline(x: Array, offsets: Array) -> Array:
        totals = np.add.reduceat(x, offsets[:-1].astype(np.int64), axis=0)
        result: Array = totals / np.diff(offsets)[:, None].astype(x.dtype)
        return result

    return Case(
        operation="mean_pool",
        size=f"{segments} of {length}x{columns}",
        make=make,
        run=ops.mean_pool,
        baseline=baseline,
        oracle=reference.mean_pool,
        bound=bounds.mean_pool,
        work=4.0 * segments * length * columns,
        unit="GB/s",
        baseline_name="numpy.add.reduceat",
    )
