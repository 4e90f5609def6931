"""`QEFlashAttention`: attention and search as one quality-engineering workload needs them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.errors import CapabilityError, ClosedError
from flashwasm.qe.workloads.blocks import (
    Operands,
    Pool,
    attend,
    materialize,
    mean_attention,
    operands,
    seen_shape,
)
from flashwasm.qe.workloads.code_embedding import (
    POOLINGS,
    checked_tokens,
    pool_states,
    split_heads,
    token_digest,
    unit_vector,
)
from flashwasm.qe.workloads.configuration import (
    QE_SONA_CONFIG,
    FlashAttentionConfig,
    check_runnable,
    merged,
)
from flashwasm.qe.workloads.coverage_rows import CoverageRows, search_rows
from flashwasm.qe.workloads.metrics import Metrics, Recorder
from flashwasm.qe.workloads.nearest import PatternMatch, VectorMatch, library_vectors, nearest
from flashwasm.qe.workloads.patterns import AdaptsPatterns, PatternAdapter, PatternCache
from flashwasm.runtime.runtime import Runtime
from flashwasm.validation import choice, finite_float, floats, positive_int, shaped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

__all__ = ["QEFlashAttention"]

Array = npt.NDArray[Any]


class QEFlashAttention(AdaptsPatterns):
    """One workload's attention and search, with metrics. Made by `create_qe_flash_attention`.

    It has a sandbox of its own until `dispose`.

    Parameters
    ----------
    workload : str
        One of the five workloads.
    config : FlashAttentionConfig
        Its settings.

    Raises
    ------
    CapabilityError
        If the settings ask for something that does not exist.

    Notes
    -----
    Methods raise ShapeError and DTypeError for arguments they cannot take, OutOfMemoryError where
    something does not fit linear memory, and ClosedError after `dispose`.
    """

    def __init__(self, workload: str, config: FlashAttentionConfig) -> None:
        check_runnable(config)
        self.workload = workload
        self._config = config
        self._runtime = Runtime()
        self._pool: Pool | None = None
        self._recorder = Recorder()
        sona = QE_SONA_CONFIG[workload]
        self._cache = PatternCache(sona.cached_patterns)
        self._patterns = PatternAdapter(workload, sona, self._cache, self._runtime)

    def compute_flash_attention(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Array:
        """Attention without stored scores, in the pieces that the settings name.

        Parameters
        ----------
        q : array_like of float, shape (..., Hq, Lq, D)
            Queries; two axes are one head.
        k, v : array_like of float, shape (..., Hk, Lk, D) and (..., Hk, Lk, Dv)
            Keys and values. Leading axes broadcast.

        Returns
        -------
        numpy.ndarray of float32, shape (..., Hq, Lq, Dv)
        """
        checked, shape = self._operands(q, k, v)
        shapes = (checked.q.shape, checked.k.shape, checked.v.shape)
        tokens = checked.q.shape[0] * checked.q.shape[2]
        with self._recorder.attention(
            shapes, baseline=False, flops=checked.products, tokens=tokens
        ):
            return self._attend(checked).reshape(shape)

    def compute_baseline_attention(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Array:
        """Attention over a stored matrix of scores, by the same sandbox's matmul and softmax.

        Parameters and result are those of `compute_flash_attention`.
        """
        checked, shape = self._operands(q, k, v)
        if self._config.dropout_rate:
            raise CapabilityError("dropout_rate: the baseline has no dropout; set it to 0")
        shapes = (checked.q.shape, checked.k.shape, checked.v.shape)
        with self._recorder.attention(shapes, baseline=True):
            rows = self._config.blocks.matmul_block_size
            return materialize(checked, rows, self._runtime).reshape(shape)

    def compute_test_similarity(
        self, test_embedding: ArrayLike, corpus_embeddings: ArrayLike, top_k: int = 5
    ) -> list[VectorMatch]:
        """Return the rows of a corpus nearest to a test, by cosine.

        Parameters
        ----------
        test_embedding : array_like of float, shape (D,)
            The test.
        corpus_embeddings : array_like of float, shape (N, D)
            The tests to compare with. Lying in linear memory, they are not copied.
        top_k : int, default 5
            How many, at most.

        Returns
        -------
        list of VectorMatch
            Highest score first; ``weight`` is the softmax of sqrt(D) times the cosine over the
            whole corpus, which is attention between vectors of length sqrt(D).
        """
        self._check_open()
        with self._recorder.call():
            corpus = floats(corpus_embeddings, "corpus_embeddings", ndim=2)
            meaning = "as corpus_embeddings has columns"
            test = shaped(test_embedding, "test_embedding", (corpus.shape[1],), meaning)
            return nearest(test, corpus, positive_int(top_k, "top_k"), self._runtime)

    def index_coverage(self, coverage_rows: ArrayLike) -> CoverageRows:
        """Return finite rows ``(N, D)`` ready to be searched many times, linked where many."""
        self._check_open()
        return CoverageRows(coverage_rows, self._runtime)

    def search_coverage(
        self, query_coverage: ArrayLike, coverage_rows: ArrayLike | CoverageRows, top_k: int = 10
    ) -> list[VectorMatch]:
        """Return the rows of a coverage matrix nearest to one, by cosine, highest first.

        Parameters
        ----------
        query_coverage : array_like, shape (D,)
            One row: counts, booleans or weights.
        coverage_rows : array_like, shape (N, D), or CoverageRows
            The others. An array is searched exactly; what `index_coverage` made, by a graph above
            the crossover: `get_metrics` says so. `CoverageIndex` has sparse rows of any length.
        top_k : int, default 10
            How many, at most.
        """
        self._check_open()
        with self._recorder.call():
            count = positive_int(top_k, "top_k")
            found, how = search_rows(query_coverage, coverage_rows, count, self._runtime)
            self._recorder.coverage_search = how
            return found

    def match_defect_pattern(
        self,
        defect_embedding: ArrayLike,
        pattern_library: Mapping[str, ArrayLike] | Sequence[tuple[str, ArrayLike]],
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> list[PatternMatch]:
        """Return the patterns of a library nearest to a defect, by cosine.

        Parameters
        ----------
        defect_embedding : array_like of float, shape (D,)
            The defect.
        pattern_library : mapping of str to vector, or sequence of (str, vector)
            The patterns.
        top_k : int, optional
            How many, at most; None is all.
        threshold : float, optional
            Least score of a match.

        Returns
        -------
        list of PatternMatch
            Highest score first, with attention weights over the whole library.
        """
        self._check_open()
        with self._recorder.call():
            defect = floats(defect_embedding, "defect_embedding", ndim=1)
            least = -math.inf if threshold is None else finite_float(threshold, "threshold")
            names, vectors = library_vectors(pattern_library, len(defect))
            count = len(names) if top_k is None else positive_int(top_k, "top_k")
            return [
                PatternMatch(names[match.index], match.score, match.weight)
                for match in nearest(defect, vectors, count, self._runtime)
                if match.score >= least
            ]

    def generate_code_embedding(
        self,
        code_tokens: ArrayLike,
        position_embeddings: ArrayLike,
        mask: ArrayLike | None = None,
        pooling: str = "mean",
    ) -> Array:
        """One unit vector of a piece of code: self-attention over its tokens, then pooling.

        Parameters
        ----------
        code_tokens : array_like of float, shape (L, D)
            Token embeddings.
        position_embeddings : array_like of float, shape (D,) or (L, D)
            Added to them.
        mask : array_like of bool, shape (L,), optional
            True for tokens that take part.
        pooling : {"mean", "cls", "attention"}, default "mean"
            The mean of the states; the first one; or their mean weighted by the softmax of their
            scaled product with the plain mean. For the plain mean without dropout or causal mask
            the states are not computed: scores are stored, whatever `fused_softmax` says.

        Returns
        -------
        numpy.ndarray of float32, shape (D,)
        """
        self._check_open()
        choice(pooling, "pooling", POOLINGS)
        x, taken = checked_tokens(code_tokens, position_embeddings, mask)
        with self._recorder.call():
            digest = token_digest(x, taken, f"{pooling}{self._config}")
            # What dropout leaves is different each time, so it is never taken from the cache.
            found = None if self._config.dropout_rate else self._cache.get(digest)
            self._recorder.lookup(hit=found is not None)
            if found is None:
                # What takes no part is neither a query nor a key.
                found = unit_vector(self._pooled(x[taken], pooling))
                self._cache.put(digest, found)
            return found.copy()

    def get_metrics(self) -> Metrics:
        """Return measurements since the start or the last reset."""
        self._check_open()
        return self._recorder.metrics(self._runtimes(), self._config.target_speedup.min)

    def reset_metrics(self) -> None:
        """Forget the measurements so far; the peak of memory stays."""
        self._check_open()
        self._recorder.reset(self._runtimes())

    def get_config(self) -> FlashAttentionConfig:
        """Return the settings."""
        return self._config

    def update_config(self, updates: Mapping[str, Any]) -> FlashAttentionConfig:
        """Replace some settings and return all of them; after an error the old ones stay.

        Parameters
        ----------
        updates : mapping
            Fields by name; ``blocks`` may hold some of its own fields only.
        """
        self._check_open()
        config = merged(self._config, updates)
        check_runnable(config)
        self._config = config
        return config

    def dispose(self) -> None:
        """Give the sandbox back; every later use raises ClosedError. Twice is fine."""
        for runtime in self._runtimes():
            runtime.close()
        self._pool = None
        self._cache.clear()

    def __enter__(self) -> QEFlashAttention:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def _runtimes(self) -> list[Runtime]:
        return [self._runtime, *(self._pool.runtimes if self._pool else [])]

    def _check_open(self) -> None:
        if self._runtime.closed:
            raise ClosedError(f"the {self.workload} workload was disposed of")

    def _operands(
        self, q: ArrayLike, k: ArrayLike, v: ArrayLike
    ) -> tuple[Operands, tuple[int, ...]]:
        """Return checked operands, and the shape of the result as the caller sees it."""
        self._check_open()
        arrays = [floats(x, name, at_least=2) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
        checked = operands(*arrays, causal=self._config.use_causal_mask)
        return checked, seen_shape(checked, *arrays)

    def _pooled(self, x: Array, pooling: str) -> Array:
        """Return one vector ``(D,)`` of what self-attention makes of tokens ``(L, D)``."""
        heads, causal = split_heads(x), self._config.use_causal_mask
        if pooling == "mean" and not causal and not self._config.dropout_rate:
            return mean_attention(heads, self._config.blocks, self._runtime).reshape(-1)
        states = self._attend(operands(heads, heads, heads, causal=causal))
        return pool_states(states[0].swapaxes(0, 1).reshape(x.shape), pooling, self._runtime)

    def _attend(self, checked: Operands) -> Array:
        if self._config.strategy == "throughput-optimized" and self._pool is None:
            self._pool = Pool(self._runtime.threads)
        pool = self._pool if self._config.strategy == "throughput-optimized" else None
        return attend(checked, self._config, self._runtime, pool)
