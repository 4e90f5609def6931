"""Cases of products: matmul, and the search that is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import ops
from flashwasm.bench.case import EPS, Case, normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def matmul_case(m: int, k: int, n: int) -> Case:
    """Return the product of (m, k) and (k, n)."""
    return Case(
        operation="matmul",
        size=f"{m}x{k} @ {k}x{n}",
        make=normal((m, k), (k, n)),
        run=ops.matmul,
        baseline=np.matmul,
        oracle=np.matmul,
        # A sum of k products of standard normals, each step rounded: about k eps times their size,
        # in the mean far less.
        tolerance=k * EPS * 4,
        work=2.0 * m * k * n,
        unit="GFLOP/s",
        baseline_name="numpy.matmul (its BLAS)",
    )


def top_k_case(queries: int, rows: int, dim: int, k: int) -> Case:
    """Return a search for the ``k`` nearest rows to each query."""

    def run(q: Array, corpus: Array, *, out: Array | None = None, **options: Any) -> Array:
        del out  # It returns two arrays, in NumPy's memory.
        return ops.cosine_top_k(q, corpus, k, **options)[0]

    def baseline(q: Array, corpus: Array) -> Array:
        unit_q = q / np.linalg.norm(q, axis=1, keepdims=True)
        unit_corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
        scores = unit_q @ unit_corpus.T
        best: Array = -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)
        return -np.sort(-best, axis=1)

    return Case(
        operation="cosine_top_k",
        size=f"{k} for {queries} of {rows}x{dim}",
        make=normal((queries, dim), (rows, dim)),
        run=run,
        baseline=baseline,
        oracle=baseline,
        tolerance=16 * EPS,
        work=2.0 * queries * rows * dim,
        unit="GFLOP/s",
        baseline_name="NumPy: norms, matmul, partition",
    )
