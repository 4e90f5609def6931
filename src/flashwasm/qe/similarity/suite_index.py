"""Tests that resemble a test or a description."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.duplicates.groups import DuplicateGroup, find_duplicates
from flashwasm.qe.scoring.scorers import CoverageScorer, Scorer, fused
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.qe.similarity.exploration import explored
from flashwasm.qe.similarity.match import Match
from flashwasm.qe.similarity.query_file import read_query, tests_of
from flashwasm.qe.similarity.scorer_builder import ScorerBuilder, embedder_in_background
from flashwasm.qe.similarity.suite_file import Kept, read_suite, write_suite
from flashwasm.qe.suites.nodeids import NodeIds
from flashwasm.qe.suites.suite import CollectedTest, Skipped, Suite, collect
from flashwasm.validation import choice, positive_int

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.runtime.runtime import Runtime

__all__ = ["SCORERS", "Match", "SuiteIndex"]

Array = npt.NDArray[Any]

# What is fused, as measured on suites with known classes: docs/guide/test-suites.md.
SCORERS = ("characters", "structure", "meaning")


class SuiteIndex:
    """The tests of a suite, ready to be compared. Made by `SuiteIndex.build`.

    Parameters
    ----------
    suite : Suite
        The tests.
    scorers : sequence of Scorer
        What compares them.
    missing : sequence of str
        What would compare them better but is not installed, and how to get it.
    kept : Kept, optional
        What the scorers were made of, for `save`.

    Attributes
    ----------
    root : pathlib.Path
        The folder that node ids are relative to: pytest's rootdir.
    tests : list of CollectedTest
        The tests.
    skipped : list of Skipped
        Files that could not be read, and why.
    scorers : list of str
        Names of what compares them.
    missing : list of str
        What is not installed, and how to get it.
    adaptation : int or None
        The version of the adaptation to feedback that is in use.
    """

    def __init__(
        self,
        suite: Suite,
        scorers: Sequence[Scorer],
        missing: Sequence[str] = (),
        builder: ScorerBuilder | None = None,
    ) -> None:
        self.adaptation = None if builder is None else builder.adaptation
        self.root: Path = suite.root
        self.tests: list[CollectedTest] = suite.tests
        self.skipped: list[Skipped] = suite.skipped
        self.scorers = [scorer.name for scorer in scorers]
        self.missing = [*missing, *([] if builder is None else builder.notes)]
        self._suite = suite
        self._kept = Kept() if builder is None else builder.kept
        self._scorers = list(scorers)
        self._nodeids = NodeIds(suite.tests)

    @classmethod
    def build(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        scorers: Sequence[str] | None = None,
        coverage: CoverageIndex | None = None,
        adapted: bool = True,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Collect the tests under a folder and prepare what compares them.

        Parameters
        ----------
        path : str or pathlib.Path
            A folder of pytest tests, or one file. Nothing in it is imported.
        model : str, pathlib.Path or SentenceEncoder, optional
            An installed model's name, the folder of a BERT-family model, or an encoder; None is
            the default model, without which the others run where it is not installed.
        scorers : sequence of str, optional
            Of "characters", "identifiers", "structure" and "meaning". None is the first, the third
            and, of the last, what is installed.
        coverage : CoverageIndex, optional
            What the tests run, compared as well.
        adapted : bool, default True
            Whether the suite's active adaptation to feedback is used, where there is one.
        progress : bool, default False
            Whether progress is drawn on stderr, where that is a terminal.
        cache : bool, default True
            Whether embeddings, terms and what was parsed are kept in the user's cache folder.
        runtime : Runtime, optional
            The sandbox to embed in; the process-wide one when None.

        Returns
        -------
        SuiteIndex
            Empty where the folder has no tests.

        Raises
        ------
        CapabilityError
            If nothing that compares tests is installed, or what was asked for is not.
        ShapeError
            If there is no such path or scorer.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("an edge is added twice", k=3)[0].nodeid  # doctest: +SKIP
        'tests/test_graph.py::TestGraph::test_add_edge_twice'
        """
        for name in scorers or ():
            choice(name, "scorers", ("characters", "identifiers", "structure", "meaning"))
        names = scorers or SCORERS
        opened = embedder_in_background(model, runtime, cache=cache) if "meaning" in names else None
        with progress_report("reading the suite", show=progress) as advance:
            suite = collect(path, cache=cache, progress=advance)
        root, sources = suite.root if adapted else None, [test.source for test in suite.tests]
        builder = ScorerBuilder(sources, model, runtime, Kept(), root, opened)
        if coverage is not None and suite.tests:
            likeness = coverage.likeness([(test.nodeid, *test.also) for test in suite.tests])
            builder.kept.rows, builder.kept.width = likeness.rows, likeness.width
        needed = scorers or (["meaning"] if model is not None else [])
        built, missing = builder.scorers(names, needed=needed, progress=progress, cache=cache)
        return cls(suite, built, missing, builder)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        adapted: bool = True,
        progress: bool = False,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Read what `save` wrote; CorruptFileError says what is wrong with any other file.

        Parameters are those of `build`. The suite is not looked at: `changes` does that. A model is
        needed for queries that are no node ids, and where it is another than the file's.
        """
        suite, names, kept = read_suite(Path(path))
        root = suite.root if adapted else None
        builder = ScorerBuilder([test.source for test in suite.tests], model, runtime, kept, root)
        names = [name for name in names if name != CoverageScorer.name]
        built, _ = builder.scorers(names, needed=names, progress=progress, cache=True)
        return cls(suite, built, (), builder)

    def save(self, path: str | Path) -> None:
        """Write the tests and what compares them to one file, whole or not at all."""
        write_suite(Path(path), self._suite, self.scorers, self._kept)

    def changes(self) -> list[str]:
        """Return the files of the suite that were changed, removed or added since it was read."""
        return self._suite.changes()

    def similar(
        self,
        query: str | Path,
        k: int = 10,
        *,
        explain: bool = False,
        explore: float = 0.0,
        seed: int | None = None,
    ) -> list[Match]:
        """Return the tests nearest to a query.

        Parameters
        ----------
        query : str or pathlib.Path
            A node id, or the end of one that only one test has: the test itself is then left out
            of the result. A path: the file's text, and its tests are left out. Else free text.
        k : int, default 10
            How many tests, at most.
        explain : bool, default False
            Whether to say what each match shares with the query.
        explore : float, default 0.0
            The share of the k places that goes to tests drawn at random from the first hundred.
        seed : int, optional
            What decides about those.

        Returns
        -------
        list of Match
            Highest score first, but for those drawn at random.

        Raises
        ------
        ShapeError
            If `query` is empty, has the form of a node id that no test has, or is the end of
            several, or if `k` is not positive.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("tests/test_graph.py::test_add_edge", k=1)[0].score  # doctest: +SKIP
        5.81...
        """
        positive_int(k, "k")
        text = query if isinstance(query, str) else read_query(query)
        if not text.strip():
            raise ShapeError("query is empty; expected a node id or a text")
        if not self.tests:
            return []
        own = self.find(query) if isinstance(query, str) else None
        itself = [] if own is None else [own]
        left_out = tests_of(query, self.tests) if isinstance(query, Path) else itself
        return self._ranked(text, own, k, left_out, explain=explain, explore=explore, seed=seed)

    def components(self, query: int | str) -> dict[str, Array]:
        """Return the scores of all tests by scorer, for a test's position or a text."""
        scored = {scorer.name: scorer.scores(query) for scorer in self._scorers}
        return {name: scores for name, scores in scored.items() if scores is not None}

    def search(self, text: str, k: int = 10) -> list[Match]:
        """Return the tests nearest to a text, even where it has the form of a node id."""
        return self.similar_to_text(text)[: positive_int(k, "k")]

    def duplicates(self, *, coverage: CoverageIndex | None = None) -> list[DuplicateGroup]:
        """Return groups of tests that do the same, as `find_duplicates` does."""
        return find_duplicates(self.tests, coverage=coverage)

    def similar_to_text(self, text: str) -> list[Match]:
        """Return all tests by their likeness to a text, which is never taken for a node id."""
        if not self.tests or not text.strip():
            return []
        return self._ranked(text, None, len(self.tests), explain=False)

    def find(self, query: str) -> int | None:
        """Position in `tests` of the test that a query names; None where it is free text.

        Raises
        ------
        ShapeError
            As `similar` does.
        """
        return self._nodeids.find(query)

    def _ranked(
        self,
        query: str,
        own: int | None,
        k: int,
        left_out: Sequence[int] = (),
        *,
        explain: bool,
        explore: float = 0.0,
        seed: int | None = None,
    ) -> list[Match]:
        components = self.components(query if own is None else own)
        if not components:
            start = query[:80]
            raise ShapeError(f"query {start!r} is no test, and words have no structure to compare")
        total = fused(components, own)
        source = query if own is None else self.tests[own].source
        best = np.argsort(-total, kind="stable")
        order = best[~np.isin(best, left_out)].tolist()
        return [
            Match(
                test.nodeid,
                float(total[i]),
                test,
                {name: float(scores[i]) for name, scores in components.items()},
                self._explainer.explain(source, test.source) if explain else None,
                propensity,
            )
            for i, propensity in explored(order, k, explore, seed)
            for test in [self.tests[i]]
        ]

    def explain(self, text: str, test: CollectedTest) -> Explanation:
        """Return what a text shares with a test; names that few tests have come first."""
        return self._explainer.explain(text, test.source)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(test.source for test in self.tests)
