"""Cases that compute element by element or move elements: addition, GELU, rotation, lookup."""

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


def vecadd_case(n: int) -> Case:
    """Return a case of the sum of two vectors."""
    return Case(
        operation="vecadd",
        size=f"{n}",
        make=normal((n,), (n,)),
        run=ops.vecadd,
        baseline=np.add,
        oracle=reference.vecadd,
        # One addition is rounded once.
        bound=lambda a, b: bounds.gamma(1) * np.abs(reference.vecadd(a, b)),
        work=12.0 * n,
        unit="GB/s",
        baseline_name="numpy.add",
    )


def gelu_case(n: int) -> Case:
    """Return a case of GELU in its tanh form."""

    def run(x: Array, **options: Any) -> Array:
        return ops.gelu(x, "tanh", **options)

    def baseline(x: Array) -> Array:
        kind = x.dtype.type
        inner = kind(np.sqrt(2 / np.pi)) * (x + kind(0.044715) * x * x * x)
        result: Array = kind(0.5) * x * (kind(1) + np.tanh(inner))
        return result

    return Case(
        operation="gelu",
        size=f"{n} tanh",
        make=normal((n,)),
        run=run,
        baseline=baseline,
        oracle=lambda x: reference.gelu(x, "tanh"),
        bound=lambda x: bounds.gelu(x, "tanh"),
        work=8.0 * n,
        unit="GB/s",
        baseline_name="NumPy: the tanh form, as it has no erf",
    )


def rotary_case(heads: int, length: int, dim: int) -> Case:
    """Return a case of the rotary embedding of some heads."""

    def make(rng: np.random.Generator) -> Inputs:
        angles = rng.uniform(0, 2 * np.pi, (1, length, dim // 2)).astype(np.float32)
        return (
            rng.standard_normal((1, heads, length, dim), np.float32),
            np.cos(angles),
            np.sin(angles),
        )

    def baseline(x: Array, cos: Array, sin: Array) -> Array:
        a, b = np.split(x, 2, axis=-1)
        c, s = cos[:, None], sin[:, None]
        return np.concatenate([a * c - b * s, a * s + b * c], axis=-1)

    return Case(
        operation="rotary_embedding",
        size=f"{heads}x{length}x{dim}",
        make=make,
        run=ops.rotary_embedding,
        baseline=baseline,
        oracle=reference.rotary_embedding,
        bound=bounds.rotary_embedding,
        work=8.0 * heads * length * dim,
        unit="GB/s",
        baseline_name="NumPy: multiply, add, concatenate",
    )


def embedding_case(n: int, rows: int, columns: int) -> Case:
    """Return a case of looking up ``n`` rows of a table."""

    def make(rng: np.random.Generator) -> Inputs:
        ids = rng.integers(0, rows, n, np.int32)
        return ids, rng.standard_normal((rows, columns), np.float32)

    def baseline(ids: Array, table: Array) -> Array:
        return np.take(table, ids.astype(np.int64), axis=0)

    return Case(
        operation="embedding",
        size=f"{n} of {rows}x{columns}",
        make=make,
        run=ops.embedding,
        baseline=baseline,
        oracle=reference.embedding,
        # Nothing is computed, so nothing may differ.
        bound=lambda *_: np.zeros(1),
        work=8.0 * n * columns,
        unit="GB/s",
        baseline_name="numpy.take",
    )
