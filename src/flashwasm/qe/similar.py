"""Tests that resemble a test or a description."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flashwasm.arrays import positive_int
from flashwasm.encoder.progress import progress_report
from flashwasm.errors import ShapeError
from flashwasm.ops import cosine_top_k
from flashwasm.qe.embeddings import Embedder
from flashwasm.qe.suite import CollectedTest, Skipped, Suite, collect
from flashwasm.runtime import default_runtime

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.runtime import Runtime

__all__ = ["Match", "SuiteIndex"]

# Candidates that an error message names.
_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Match:
    """A test that resembles the query.

    Parameters
    ----------
    nodeid : str
        The test's node id.
    score : float
        Cosine of the two embeddings, in [-1, 1].
    test : CollectedTest
        The test itself.
    """

    nodeid: str
    score: float
    test: CollectedTest


class SuiteIndex:
    """The tests of a suite and their embeddings. Made by `SuiteIndex.build`.

    Parameters
    ----------
    suite : Suite
        The tests.
    vectors : numpy.ndarray of float32, shape (n, dim)
        Their embeddings, rows of length 1.
    embedder : Embedder
        What made them, and makes a query's.
    runtime : Runtime
        The sandbox that searches.

    Attributes
    ----------
    root : pathlib.Path
        The folder that node ids are relative to: pytest's rootdir.
    tests : list of CollectedTest
        The tests.
    skipped : list of Skipped
        Files that could not be read, and why.
    """

    def __init__(
        self,
        suite: Suite,
        vectors: npt.NDArray[np.float32],
        embedder: Embedder,
        runtime: Runtime,
    ) -> None:
        self.root: Path = suite.root
        self.tests: list[CollectedTest] = suite.tests
        self.skipped: list[Skipped] = suite.skipped
        self._embedder = embedder
        self._runtime = runtime
        self._vectors = runtime.asarray(vectors)
        self._index_of = {
            nodeid: i for i, test in enumerate(suite.tests) for nodeid in (test.nodeid, *test.also)
        }

    @classmethod
    def build(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Collect the tests under a folder and embed them.

        Parameters
        ----------
        path : str or pathlib.Path
            A folder of pytest tests, or one file. Nothing in it is imported.
        model : str, pathlib.Path or SentenceEncoder, optional
            An installed model's name, the folder of a BERT-family model, or an encoder; None is
            the default model.
        progress : bool, default False
            Whether progress is drawn on stderr, where that is a terminal.
        cache : bool, default True
            Whether embeddings and what was parsed are kept in the user's cache folder.
        runtime : Runtime, optional
            The sandbox to run in; the process-wide one when None.

        Returns
        -------
        SuiteIndex
            Empty where the folder has no tests.

        Raises
        ------
        CapabilityError
            If the model is not installed, saying how to get it.
        ShapeError
            If there is no such path.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("an edge is added twice", k=3)[0].nodeid  # doctest: +SKIP
        'tests/test_graph.py::TestGraph::test_add_edge_twice'
        """
        rt = default_runtime() if runtime is None else runtime
        embedder = Embedder(model, cache=cache, runtime=rt)
        with progress_report("reading the suite", show=progress) as advance:
            suite = collect(path, cache=cache, progress=advance)
        vectors = np.empty((0, 0), np.float32)
        if suite.tests:
            with progress_report("embedding", show=progress) as advance:
                sources = [test.source for test in suite.tests]
                vectors = embedder.embed(sources, progress=advance)
        return cls(suite, vectors, embedder, rt)

    def similar(self, query: str, k: int = 10) -> list[Match]:
        """Return the tests nearest to a query.

        Parameters
        ----------
        query : str
            A node id, or the end of one that only one test has: the test itself is then left out
            of the result. Anything else is free text.
        k : int, default 10
            How many tests, at most.

        Returns
        -------
        list of Match
            Highest score first.

        Raises
        ------
        ShapeError
            If `query` is empty, has the form of a node id that no test has, or is the end of
            several, or if `k` is not positive.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("tests/test_graph.py::test_add_edge", k=1)  # doctest: +SKIP
        [Match(nodeid='tests/test_graph.py::test_remove_edge', score=0.83...)]
        """
        positive_int(k, "k")
        if not query.strip():
            raise ShapeError("query is empty; expected a node id or a text")
        if not self.tests:
            return []
        own = self.find(query)
        vector = self._embedder.embed([query]) if own is None else self._vectors[own : own + 1]
        # One more than asked for, since the test that was asked about is its own nearest.
        wanted = min(k + (own is not None), len(self.tests))
        scores, rows = cosine_top_k(vector, self._vectors, wanted, runtime=self._runtime)
        matches = [
            Match(self.tests[row].nodeid, float(score), self.tests[row])
            for score, row in zip(scores[0], rows[0], strict=True)
            if row != own
        ]
        return matches[:k]

    def find(self, query: str) -> int | None:
        """Position in `tests` of the test that a query names; None where it is free text.

        Raises
        ------
        ShapeError
            As `similar` does.
        """
        # A parametrised test is one entry, whichever of its cases is meant.
        name = query.partition("[")[0] if "::" in query else query
        if name in self._index_of:
            return self._index_of[name]
        named = {
            i: nodeid
            for nodeid, i in self._index_of.items()
            # The query may also be longer: relative to a folder above the suite's root.
            if nodeid.endswith(("::" + name, "/" + name)) or name.endswith("/" + nodeid)
        }
        if len(named) == 1:
            return next(iter(named))
        if named:
            candidates = ", ".join(list(named.values())[:_NAMED_AT_MOST])
            more = ", ..." if len(named) > _NAMED_AT_MOST else ""
            raise ShapeError(
                f"query {query!r} is the end of {len(named)} node ids: {candidates}{more}; "
                "give more of the one that is meant"
            )
        if "::" in query and not any(letter.isspace() for letter in query):
            raise ShapeError(f"query {query!r} has the form of a node id, but no test has it")
        return None
