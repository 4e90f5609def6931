"""Targets of the indexes, and the judgement of a run by them."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from bench.targets import Target, Verdict, held_against

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.search.runner import SearchResult

# The targets are for this number of vectors. Ratios to other libraries differ for fewer.
VECTORS = 100_000
LEAST_RECALL = 0.95
FLOAT32, INT8 = "flashwasm float32", "flashwasm int8"
_RECALL = "recall@10"

# Each row holds the number of queries searched together, an index of this package, the index that
# it is compared with, and the smallest ratio of their speeds.
_EXACT = (
    (64, FLOAT32, "NumPy", 1.3),
    (64, FLOAT32, "faiss IndexFlatIP", 1.0),
    (64, FLOAT32, "usearch exact", 1.0),
    (64, FLOAT32, "simsimd", 1.0),
    (1, FLOAT32, "NumPy", 2.5),
    (1, FLOAT32, "faiss IndexFlatIP", 1.0),
    (64, INT8, "NumPy", 1.3),
    (64, INT8, FLOAT32, 1.3),
    (1, INT8, "NumPy", 2.5),
    (1, INT8, FLOAT32, 2.5),
)
# Each row holds an index of this package, the smallest ratio of its queries a second to hnswlib's
# at equal recall, and the smallest ratio of hnswlib's building time to its own.
_GRAPHS = ((FLOAT32, 1.3, 1.3), (INT8, 2.2, 2.0))
_OVER_WASM = 5.0


def judge_searches(results: Sequence[SearchResult]) -> list[Verdict]:
    """Compare the results of a run with the targets of the indexes that it searched.

    Parameters
    ----------
    results : sequence of SearchResult
        Results, those of one case after another.
    """
    verdicts = []
    for (operation, data), group in groupby(results, lambda r: (r.operation, r.data)):
        some = list(group)
        judged = _exact(some, data) if operation == "FlatIndex" else _graphs(some, data)
        for target, figure in judged:
            if some[0].vectors < VECTORS:
                why = f"{some[0].vectors} vectors were searched, not {VECTORS}"
                verdicts.append(held_against(target, None, why))
            else:
                verdicts.append(held_against(target, figure, f"no {target.quantity} here"))
    return verdicts


def _exact(results: list[SearchResult], data: str) -> Iterator[tuple[Target, float]]:
    """Yield each target of exact searches, with its figure."""
    found = {(r.queries, r.name): r for r in results}
    for queries, ours, other, bound in _EXACT:
        own, rival = found.get((queries, ours)), found.get((queries, other))
        figure = own.rate / rival.rate if own and rival else math.nan
        yield Target(f"{ours}, {queries} x {data}", other, bound), figure
        if (ours, other) == (INT8, FLOAT32):
            # int8 must find the same vectors as float32. NumPy may find others if scores
            # differ only by rounding, so recall is not compared with 1.
            same = own.recall / rival.recall if own and rival else math.nan
            yield Target(f"{ours}, {queries} x {data}", f"{_RECALL} of {other}", 1.0), same


def _graphs(results: list[SearchResult], data: str) -> Iterator[tuple[Target, float]]:
    """Yield each target of graphs, with its figure."""
    rival = [r for r in results if r.name == "hnswlib"]
    wasm = [r for r in results if r.name == "hnswlib-wasm"]
    for name, rate, build in _GRAPHS:
        own = [r for r in results if r.name == name]
        subject = f"{name}, {data}"
        recall = max((r.recall for r in own), default=math.nan)
        yield Target(subject, _RECALL, LEAST_RECALL), recall
        yield Target(f"{subject}, equal recall", "hnswlib", rate), _at_equal_recall(own, rival)
        over = _at_equal_recall(own, wasm)
        yield Target(f"{subject}, equal recall", "hnswlib-wasm", _OVER_WASM), over
        seconds = rival[0].build_seconds / own[0].build_seconds if own and rival else math.nan
        yield Target(f"{subject}, build", "hnswlib", build), seconds


def _at_equal_recall(own: list[SearchResult], rival: list[SearchResult]) -> float:
    """Return the smallest ratio of rates at the recalls, from LEAST_RECALL on, that both reach."""
    if not rival:
        return math.nan
    rival = sorted(rival, key=lambda r: r.recall)
    recalls = [r.recall for r in rival]
    rates = np.log([r.rate for r in rival])
    ratios = [
        r.rate / float(np.exp(np.interp(r.recall, recalls, rates)))
        for r in own
        if max(LEAST_RECALL, recalls[0]) <= r.recall <= recalls[-1]
    ]
    return min(ratios, default=math.nan)
