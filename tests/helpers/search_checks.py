"""Checks of the results of an index, against float64 or against another index."""

import numpy as np

import backend_bounds
import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import assert_same_bits

METRICS = ["cosine", "dot", "l2"]
DTYPES = ["float32", "int8"]


def assert_nearest(index, queries, vectors, k, metric="cosine", *, least_recall=1.0, **options):
    """Search an index of `vectors`, whose ids are their positions, and check the results.

    Each score must be within its bound of the oracle's, and be the score of the id beside it. An
    id counts as right if rounding alone can explain its rank among the k nearest. The share of
    right ids must be at least `least_recall`. Other `options` are passed to the search.
    """
    scores, ids = index.search(queries, k, **options)
    kept = min(k, len(vectors))
    assert scores.shape == ids.shape == (len(queries), k)
    assert (ids[:, kept:] == -1).all()
    assert np.isneginf(scores[:, kept:]).all()
    scores, ids = scores[:, :kept], ids[:, :kept]
    truth = reference.similarity(queries, vectors, metric)
    bound = bounds.similarity(queries, vectors, metric)
    own, own_bound = (np.take_along_axis(x, ids, axis=1) for x in (truth, bound))
    bounds.assert_close(scores, own, own_bound)
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert all(len(set(row)) == kept for row in ids.tolist())
    best, at = reference.top_k(truth, kept)
    allowed = np.take_along_axis(bound, at, axis=1)[:, -1:] + own_bound
    assert (own >= best[:, -1:] - allowed).mean() >= least_recall


def assert_same_results(found, expected):
    """Fail unless two searches have the same bits of scores, and the same ids."""
    assert_same_bits(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def check_top_k(queries, corpus, k, metric="cosine", **options):
    """Compare scores and order with float64, except where only rounding decides the order.

    Each score must be that of its row, scores must not rise, and no row may be returned twice. No
    omitted row may be better than the last returned one by more than the bound.
    """
    scores, indices = fw.cosine_top_k(queries, corpus, k, metric=metric, **options)
    assert scores.shape == indices.shape == (len(queries), k)
    assert np.issubdtype(indices.dtype, np.integer)
    truth = reference.similarity(queries, corpus, metric)
    bound = backend_bounds.similarity(options.get("backend"), queries, corpus, metric)
    bounds.assert_close(
        scores,
        np.take_along_axis(truth, indices, axis=1),
        np.take_along_axis(bound, indices, axis=1),
    )
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    for row in range(len(queries)):
        assert len(set(indices[row])) == k
        left_out = np.delete(np.arange(len(corpus)), indices[row])
        assert ((truth - bound)[row, left_out] <= scores[row, -1]).all()
    return scores, indices
