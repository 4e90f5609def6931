"""Cases of products: matmul, and exact search, which is a product and a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import ops
from flashwasm.benchmarks.case import Case, normal
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def top_k_case(queries: int, rows: int, dim: int, k: int) -> Case:
    """Return a case of a search for the ``k`` nearest rows; its result is their scores."""

    def run(q: Array, corpus: Array, *, out: Array | None = None, **options: Any) -> Array:
        # The search returns two arrays in NumPy's memory, so it has no use for `out`.
        del out
        return ops.cosine_top_k(q, corpus, k, **options)[0]

    def baseline(q: Array, corpus: Array) -> Array:
        unit_q = q / np.linalg.norm(q, axis=1, keepdims=True)
        unit_corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
        scores = unit_q @ unit_corpus.T
        best: Array = -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)
        return -np.sort(-best, axis=1)

    def oracle(q: Array, corpus: Array) -> Array:
        return reference.top_k(reference.similarity(q, corpus), k)[0]

    def bound(q: Array, corpus: Array) -> Array:
        # A score at some rank is off by no more than any one score may be.
        largest: Array = bounds.similarity(q, corpus).max(keepdims=True)
        return largest

    return Case(
        operation="cosine_top_k",
        size=f"{k} for {queries} of {rows}x{dim}",
        make=normal((queries, dim), (rows, dim)),
        run=run,
        baseline=baseline,
        oracle=oracle,
        bound=bound,
        work=2.0 * queries * rows * dim,
        unit="GFLOP/s",
        baseline_name="NumPy: norms, matmul, partition",
    )
