"""Cases of products: matmul in floats and in codes, and exact search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flashwasm import ops
from flashwasm.benchmarks.case import Case, normal
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.benchmarks.case import Inputs
    from flashwasm.kernel_table import Metric
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]


def matmul_case(m: int, k: int, n: int) -> Case:
    """Return a case of the product of matrices (m, k) and (k, n)."""
    return Case(
        operation="matmul",
        size=f"{m}x{k} @ {k}x{n}",
        make=normal((m, k), (k, n)),
        run=ops.matmul,
        baseline=np.matmul,
        oracle=reference.matmul,
        bound=bounds.matmul,
        work=2.0 * m * k * n,
        unit="GFLOP/s",
        baseline_name="numpy.matmul (its BLAS)",
    )


def matmul_i8_case(m: int, k: int, n: int) -> Case:
    """Return a case of the product of a matrix (m, k) and an existing `Int8Matrix` (k, n)."""
    matrices: WeakKeyDictionary[Runtime, ops.Int8Matrix] = WeakKeyDictionary()

    def run(a: Array, b: Array, *, runtime: Runtime, out: Array | None = None) -> Array:
        if runtime not in matrices:
            matrices[runtime] = ops.Int8Matrix(b, runtime=runtime)
        return ops.matmul_i8(a, matrices[runtime], out=out)

    return Case(
        operation="matmul_i8",
        size=f"{m}x{k} @ {k}x{n}",
        make=normal((m, k), (k, n)),
        run=run,
        baseline=np.matmul,
        oracle=reference.matmul_i8,
        bound=bounds.matmul_i8,
        work=2.0 * m * k * n,
        unit="GFLOP/s",
        baseline_name="numpy.matmul of float32",
    )


def top_k_case(queries: int, rows: int, dim: int, k: int) -> Case:
    """Return a case of a search for the ``k`` nearest rows; its result is their scores."""

    def baseline(q: Array, corpus: Array) -> Array:
        unit_q = q / np.linalg.norm(q, axis=1, keepdims=True)
        unit_corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
        scores = unit_q @ unit_corpus.T
        best: Array = -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)
        return -np.sort(-best, axis=1)

    return _search_case(
        f"{k} for {queries} of {rows}x{dim}",
        normal((queries, dim), (rows, dim)),
        baseline,
        "NumPy: norms, matmul, partition",
        work=2.0 * queries * rows * dim,
        k=k,
    )


def unit_top_k_case(queries: int, rows: int, dim: int, k: int, metric: Metric) -> Case:
    """Return a case of a search among vectors of length one; its result is their scores.

    All metrics rank such vectors alike. NumPy therefore needs no more than a product and a
    selection, whatever the metric.
    """

    def make(rng: np.random.Generator) -> tuple[Array, ...]:
        drawn = normal((queries, dim), (rows, dim))(rng)
        return tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in drawn)

    def baseline(q: Array, corpus: Array) -> Array:
        scores = q @ corpus.T
        found = np.argpartition(scores, -k, axis=1)[:, -k:]
        best = np.sort(np.take_along_axis(scores, found, axis=1), axis=1)[:, ::-1]
        # |q - c|^2 = 2 - 2 q.c for vectors of length one.
        result: Array = 2 * best - 2 if metric == "l2" else best
        return result

    return _search_case(
        f"{k} for {queries} of {rows}x{dim}, {metric}",
        make,
        baseline,
        "NumPy: matmul, argpartition",
        work=2.0 * queries * rows * dim,
        k=k,
        metric=metric,
    )


def _search_case(
    size: str,
    make: Callable[[np.random.Generator], Inputs],
    baseline: Callable[[Array, Array], Array],
    baseline_name: str,
    *,
    work: float,
    k: int,
    metric: Metric = "cosine",
) -> Case:
    """Return a case of `cosine_top_k`, whose result is the scores of the rows found."""

    def run(q: Array, corpus: Array, *, out: Array | None = None, **options: Any) -> Array:
        # The search returns two arrays in NumPy's memory, so it has no use for `out`.
        del out
        return ops.cosine_top_k(q, corpus, k, metric=metric, **options)[0]

    def oracle(q: Array, corpus: Array) -> Array:
        return reference.top_k(reference.similarity(q, corpus, metric), k)[0]

    def bound(q: Array, corpus: Array) -> Array:
        # A score at some rank is off by no more than any one score may be.
        largest: Array = bounds.similarity(q, corpus, metric).max(keepdims=True)
        return largest

    return Case(
        operation="cosine_top_k",
        size=size,
        make=make,
        run=run,
        baseline=baseline,
        oracle=oracle,
        bound=bound,
        work=work,
        unit="GFLOP/s",
        baseline_name=baseline_name,
    )
