"""Search in parts of a corpus has the same bits as one search of the whole, ties included."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import distributed

RNG = np.random.default_rng(8)
# Small integers, so that many scores are equal, and rows that score zero, NaN or infinity.
CORPUS = RNG.integers(-2, 3, (1000, 5)).astype(np.float32)
CORPUS[[3, 500]] = 0
CORPUS[700] = np.nan
QUERIES = CORPUS[:7]


def same(found, expected):
    return all(x.tobytes() == y.tobytes() for x, y in zip(found, expected, strict=True))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize(("k", "part_rows"), [(1, 1), (9, 77), (300, 200), (1000, 333), (5, None)])
def test_parts_give_the_bits_of_the_whole(metric, k, part_rows):
    with ThreadPoolExecutor(2) as pool:
        found = distributed.top_k(pool, QUERIES, CORPUS, k, metric=metric, part_rows=part_rows)
    assert same(found, fw.cosine_top_k(QUERIES, CORPUS, k, metric=metric))


def test_a_corpus_in_several_forms_on_processes(tmp_path, local_workers):
    np.save(tmp_path / "first.npy", CORPUS[:400])
    np.save(tmp_path / "whole.npy", np.asfortranarray(CORPUS))
    expected = fw.cosine_top_k(QUERIES, CORPUS, 40)
    parts = [str(tmp_path / "first.npy"), CORPUS[400:410], CORPUS[410:].astype(np.float64)]
    for corpus in (CORPUS, parts, tmp_path / "whole.npy"):
        assert same(distributed.top_k(local_workers, QUERIES, corpus, 40, part_rows=130), expected)


def test_parts_of_different_shapes_are_refused(local_workers):
    with pytest.raises(fw.ShapeError, match=r"corpus\[1\]: expected two axes, and as many columns"):
        distributed.top_k(local_workers, QUERIES, [CORPUS, CORPUS[:, :4]], 1)
    with pytest.raises(fw.ShapeError, match="k: expected at most the 1000 rows"):
        distributed.top_k(local_workers, QUERIES, CORPUS, 1001)
