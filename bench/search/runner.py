"""Measurement of the indexes and other libraries: recall, queries a second, building, memory."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.peer import INSTALL
from bench.search.elsewhere import Elsewhere
from bench.search.peers import PEERS
from flashwasm.benchmarks.timing import Effort, interleaved
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.search.cases import SearchCase
    from bench.search.libraries import Search
    from bench.search.peers import Peer
    from flashwasm.benchmarks.timing import Timer, Times

    Array = NDArray[Any]

_EFS = (32, 64, 128, 256)
_BATCHES = {"FlatIndex": (1, 64), "HNSWIndex": (1000,)}
EFFORT = Effort.of_rounds(5, seconds=0.3, most=100)
QUICK_EFFORT = Effort.of_rounds(2)

SEARCH_HEADINGS = (
    "data",
    "index",
    "vectors",
    "queries",
    "ef",
    "recall@k",
    "queries/s",
    "build",
    "memory",
)


@dataclass(frozen=True)
class SearchResult:
    """One index at one setting.

    Attributes
    ----------
    operation, data, name : str
        Class of the index, a few words on the vectors, and the name of the library.
    vectors, queries : int
        Number of vectors, and of queries that are searched together.
    ef : int
        Number of candidates that the search of a graph keeps; 0 for an exact search.
    recall : float
        Share of the k nearest vectors that were found.
    rate : float
        Queries per second in the best round. In each round all indexes are measured in turn.
    build_seconds : float
        Time of adding all vectors.
    megabytes : float
        Linear memory that the index uses; 0 for other libraries.
    """

    operation: str
    data: str
    name: str
    vectors: int
    queries: int
    ef: int
    recall: float
    rate: float
    build_seconds: float
    megabytes: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Built:
    """An index, and the time and memory that building it took."""

    search: Search | Elsewhere
    seconds: float
    megabytes: float

    def timed(self, queries: Array, k: int, ef: int) -> tuple[Array, float]:
        """Return the nearest ids, and the seconds by the clock of the process that searches."""
        if isinstance(self.search, Elsewhere):
            return self.search.search(queries, k, ef)
        start = perf_counter()
        found = self.search(queries, k, ef)
        return found, perf_counter() - start

    def close(self) -> None:
        """End the process of the index, if it has one."""
        if isinstance(self.search, Elsewhere):
            self.search.close()


def run_search(
    case: SearchCase, vectors: int, threads: int = 1, effort: Effort = EFFORT
) -> Iterator[SearchResult]:
    """Build an index with each installed library over a case's vectors, and search them in turn.

    Parameters
    ----------
    case : SearchCase
        Case to measure.
    vectors : int
        Number of vectors.
    threads : int, default 1
        Threads of this package, and of other libraries that have such a setting.
    effort : Effort, optional
        Limits of how long to measure a setting.

    Yields
    ------
    SearchResult
    """
    made = case.make(vectors)
    if made is None:
        return
    corpus, queries = made
    with Runtime(threads) as runtime, ExitStack() as stack:
        built = {}
        for peer in PEERS[case.operation]:
            if peer.absent:
                continue
            try:
                built[peer.name] = _build(peer, corpus, runtime)
            except Exception as error:
                if not peer.packages:
                    raise
                # One library's failure does not stop the measurement of the others.
                warnings.warn(f"{peer.name} is left out: {error}", RuntimeWarning, stacklevel=2)
                continue
            stack.callback(built[peer.name].close)
        truth = np.concatenate(
            [
                built["NumPy"].timed(queries[i : i + 64], case.k, 0)[0]
                for i in range(0, len(queries), 64)
            ]
        )
        for batch in _BATCHES[case.operation]:
            for ef in _EFS if case.operation == "HNSWIndex" else (0,):
                asked = queries[:batch]
                times, found = _interleaved(built, asked, case.k, ef, effort)
                for name, index in built.items():
                    yield SearchResult(
                        operation=case.operation,
                        data=case.data,
                        name=name,
                        vectors=len(corpus),
                        queries=len(asked),
                        ef=ef,
                        recall=_recall(found[name], truth),
                        rate=len(asked) / times[name].best,
                        build_seconds=index.seconds,
                        megabytes=index.megabytes,
                    )


def _build(peer: Peer, corpus: Array, runtime: Runtime) -> _Built:
    """Build an index over vectors."""
    before, start = runtime.stats().bytes_in_use, perf_counter()
    search = peer.build(corpus, runtime)
    seconds = perf_counter() - start
    return _Built(search, seconds, (runtime.stats().bytes_in_use - before) / 1e6)


def _interleaved(
    built: dict[str, _Built], queries: Array, k: int, ef: int, effort: Effort
) -> tuple[dict[str, Times], dict[str, Array]]:
    """Search with all indexes in turn; return the times and the ids that each found."""
    found = {name: index.timed(queries, k, ef)[0] for name, index in built.items()}

    def timer_of(index: _Built) -> Timer:
        return lambda loops: sum(index.timed(queries, k, ef)[1] for _ in range(loops))

    timers = {name: timer_of(index) for name, index in built.items()}
    return interleaved(timers, effort), found


def _recall(found: Array, truth: Array) -> float:
    """Return the share of the nearest vectors that were found."""
    pairs = zip(found.tolist(), truth.tolist(), strict=False)
    return float(np.mean([len(set(row) & set(right)) / len(right) for row, right in pairs]))


def absent(cases: Sequence[SearchCase]) -> list[str]:
    """Return a line for each library that is not installed.

    Parameters
    ----------
    cases : sequence of SearchCase
        Cases whose libraries are checked.
    """
    peers = [peer for case in cases for peer in PEERS[case.operation]]
    return sorted(
        {f"{peer.packages[0]}: not installed ({INSTALL})" for peer in peers if peer.absent}
    )


def search_cells(result: SearchResult) -> tuple[str, ...]:
    """Return the cells of a result, in the order of `SEARCH_HEADINGS`."""
    return (
        result.data,
        result.name,
        str(result.vectors),
        str(result.queries),
        str(result.ef or "-"),
        f"{result.recall:.4f}",
        f"{result.rate:.0f}",
        f"{result.build_seconds:.1f} s",
        f"{result.megabytes:.0f} MB" if result.megabytes else "-",
    )
