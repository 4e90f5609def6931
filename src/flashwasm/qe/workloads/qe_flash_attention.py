"""`QEFlashAttention`: the attention and the search of one quality-engineering workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.errors import CapabilityError
from flashwasm.qe.workloads.chunked_attention import Operands, checked_operands, result_shape
from flashwasm.qe.workloads.code_embedding import (
    POOLINGS,
    checked_tokens,
    embed_tokens,
    token_digest,
)
from flashwasm.qe.workloads.configuration import QE_SONA_CONFIG
from flashwasm.qe.workloads.coverage_analysis import CoverageRows, search_rows
from flashwasm.qe.workloads.defect_matching import PatternMatch, rank_patterns
from flashwasm.qe.workloads.pattern_adaptation import PatternAdaptation, PatternAdapter
from flashwasm.qe.workloads.similarity import VectorMatch, rank_rows
from flashwasm.qe.workloads.vector_cache import VectorCache
from flashwasm.qe.workloads.workload import Workload
from flashwasm.validation import choice, floats, positive_int, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.qe.workloads.code_embedding import Pooling
    from flashwasm.qe.workloads.configuration import FlashAttentionConfig, WorkloadName

__all__ = ["QEFlashAttention"]

Array = npt.NDArray[Any]


class QEFlashAttention(Workload):
    """Attention and search of one workload, with metrics. Create it by `create_qe_flash_attention`.

    The object owns a sandbox until `dispose` closes it.

    Parameters
    ----------
    workload : str
        One of the five workloads.
    config : FlashAttentionConfig
        Its settings.

    Raises
    ------
    CapabilityError
        If the settings ask for something that is not implemented.
    ShapeError, DTypeError
        If there is no such workload, or the settings are not a FlashAttentionConfig.
    """

    def __init__(self, workload: WorkloadName, config: FlashAttentionConfig) -> None:
        super().__init__(workload, config)
        sona = QE_SONA_CONFIG[workload]
        self._cache = VectorCache(sona.cached_patterns)
        self._adapter = PatternAdapter(workload, sona, self._cache, self._runtime)

    def compute_flash_attention(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Array:
        """Compute attention without storing scores, in pieces according to the settings.

        Parameters
        ----------
        q : array_like of float, shape (..., Hq, Lq, D)
            Queries. An array with two axes is one head.
        k, v : array_like of float, shape (..., Hk, Lk, D) and (..., Hk, Lk, Dv)
            Keys and values. Leading axes broadcast.

        Returns
        -------
        numpy.ndarray of float32, shape (..., Hq, Lq, Dv)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        o, shape = self._operands(q, k, v)
        shapes = (o.q.shape, o.k.shape, o.v.shape)
        tokens = o.q.shape[0] * o.q.shape[2]
        with self._recorder.attention(shapes, baseline=False, flops=o.flops, tokens=tokens):
            return self._chunked.attend(o, self._config).reshape(shape)

    def compute_baseline_attention(self, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> Array:
        """Compute attention with a stored matrix of scores, by kernels in the same sandbox.

        Parameters
        ----------
        q, k, v : array_like of float
            Operands, as for `compute_flash_attention`.

        Returns
        -------
        numpy.ndarray of float32, shape (..., Hq, Lq, Dv)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError, CapabilityError
        """
        o, shape = self._operands(q, k, v)
        if self._config.dropout_rate:
            raise CapabilityError("dropout_rate: the baseline has no dropout; set it to 0")
        with self._recorder.attention((o.q.shape, o.k.shape, o.v.shape), baseline=True):
            return self._chunked.attend_materialized(o, self._config).reshape(shape)

    def compute_test_similarity(
        self, test_embedding: ArrayLike, corpus_embeddings: ArrayLike, top_k: int = 5
    ) -> list[VectorMatch]:
        """Return the rows of a corpus nearest to a test, by cosine.

        Parameters
        ----------
        test_embedding : array_like of float, shape (D,)
            The test.
        corpus_embeddings : array_like of float, shape (N, D)
            The tests to compare with. A resident array is not copied.
        top_k : int, default 5
            Maximum number of matches.

        Returns
        -------
        list of VectorMatch
            Highest score first. ``weight`` is the softmax of sqrt(D) times the cosine over the
            whole corpus: the attention between vectors that are scaled to length sqrt(D).

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        self._check_open()
        with self._recorder.call():
            corpus = floats(corpus_embeddings, "corpus_embeddings", ndim=2)
            meaning = "as corpus_embeddings has columns"
            test = shaped(test_embedding, "test_embedding", (corpus.shape[1],), meaning)
            return rank_rows(test, corpus, positive_int(top_k, "top_k"), self._runtime)

    def index_coverage(self, coverage_rows: ArrayLike) -> CoverageRows:
        """Prepare the rows of a coverage matrix for many searches.

        Parameters
        ----------
        coverage_rows : array_like, shape (N, D)
            Counts, booleans or weights; all finite.

        Returns
        -------
        CoverageRows
            The rows in linear memory, with a search graph if there are many.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        self._check_open()
        return CoverageRows(coverage_rows, self._runtime)

    def search_coverage(
        self, query_coverage: ArrayLike, coverage_rows: ArrayLike | CoverageRows, top_k: int = 10
    ) -> list[VectorMatch]:
        """Return the rows of a coverage matrix nearest to one row, by cosine, highest first.

        Parameters
        ----------
        query_coverage : array_like, shape (D,)
            One row: counts, booleans or weights.
        coverage_rows : array_like, shape (N, D), or CoverageRows
            The other rows. The search in an array is exact. The search in a result of
            `index_coverage` uses a graph if there are many rows; `get_metrics` reports which search
            was used. For sparse rows of any length, use `CoverageIndex`.
        top_k : int, default 10
            Maximum number of matches.

        Returns
        -------
        list of VectorMatch

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
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
            Maximum number of matches; None returns all.
        threshold : float, optional
            Minimum score of a match.

        Returns
        -------
        list of PatternMatch
            Highest score first, with attention weights over the whole library.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        self._check_open()
        with self._recorder.call():
            return rank_patterns(defect_embedding, pattern_library, top_k, threshold, self._runtime)

    def generate_code_embedding(
        self,
        code_tokens: ArrayLike,
        position_embeddings: ArrayLike,
        mask: ArrayLike | None = None,
        pooling: Pooling = "mean",
    ) -> Array:
        """Compute one unit vector of a piece of code: self-attention over its tokens, then pooling.

        Parameters
        ----------
        code_tokens : array_like of float, shape (L, D)
            Token embeddings.
        position_embeddings : array_like of float, shape (D,) or (L, D)
            Vectors that are added to the tokens.
        mask : array_like of bool, shape (L,), optional
            True for the tokens to use.
        pooling : {"mean", "cls", "attention"}, default "mean"
            The mean of the states; the first state; or the mean weighted by the softmax of each
            state's scaled product with the plain mean. Without dropout and causal mask, "mean"
            stores scores even if `fused_softmax` is True.

        Returns
        -------
        numpy.ndarray of float32, shape (D,)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        self._check_open()
        choice(pooling, "pooling", POOLINGS)
        x, taken = checked_tokens(code_tokens, position_embeddings, mask)
        with self._recorder.call():
            digest = token_digest(x, taken, f"{pooling}{self._config}")
            # With dropout, each call has a different result, so the cache is not used.
            found = None if self._config.dropout_rate else self._cache.get(digest)
            self._recorder.lookup(hit=found is not None)
            if found is None:
                # A masked token is neither a query nor a key.
                found = embed_tokens(x[taken], pooling, self._config, self._chunked)
                self._cache.put(digest, found)
            return found.copy()

    def adapt_pattern(
        self,
        pattern: ArrayLike,
        target: ArrayLike | None = None,
        *,
        negatives: ArrayLike | None = None,
        reward: float = 1.0,
    ) -> PatternAdaptation:
        """Adapt a pattern to feedback: one step of the workload's `LoRAAdapter`.

        Parameters
        ----------
        pattern : array_like of float, shape (D,)
            The pattern. All patterns must have the length of the first one.
        target : array_like of float, shape (D,), optional
            Vector that the pattern moves towards. With None, no training step is taken, and the
            result may come from the cache.
        negatives : array_like of float, shape (n, D), optional
            Vectors that the pattern moves away from. With negatives, the step is contrastive;
            without, it is a regression.
        reward : float, default 1.0
            Weight of this step; not negative.

        Returns
        -------
        PatternAdaptation

        Raises
        ------
        CapabilityError
            If `QE_SONA_CONFIG` disables adaptation for the workload.
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        self._check_open()
        with self._recorder.call():
            done = self._adapter.adapt(pattern, target, negatives, reward)
        if not done.adapted:
            self._recorder.lookup(hit=done.cached)
        return done

    def _operands(
        self, q: ArrayLike, k: ArrayLike, v: ArrayLike
    ) -> tuple[Operands, tuple[int, ...]]:
        """Return the checked operands, and the shape of the result for the caller."""
        self._check_open()
        arrays = [floats(x, name, at_least=2) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
        o = checked_operands(*arrays, causal=self._config.use_causal_mask)
        return o, result_shape(o, *arrays)
