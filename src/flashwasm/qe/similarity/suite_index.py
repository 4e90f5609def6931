"""The index of a suite, which finds the tests that resemble a test or a description."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_text, instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup, find_duplicates
from flashwasm.qe.scoring.score_fusion import fused, shares_of_fused
from flashwasm.qe.scoring.scorers import CoverageScorer, ScoredIndex, Scorer
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.qe.similarity.exploratory_ranking import explore_ranking
from flashwasm.qe.similarity.match import Match, match_at
from flashwasm.qe.similarity.query_file import read_query, tests_of
from flashwasm.qe.similarity.scorer_builder import (
    ALL_SCORERS,
    DEFAULT_SCORERS,
    ScorerBuilder,
    embedder_in_background,
)
from flashwasm.qe.similarity.stored_scorers import SuiteScorerData
from flashwasm.qe.similarity.suite_index_file import read_suite, write_suite
from flashwasm.qe.suites.collection import collect
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import choice, flag, positive_int

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.similarity.scorer_builder import ScorerName
    from flashwasm.qe.suites.source_files import Skipped
    from flashwasm.qe.suites.suite import CollectedTest, Suite
    from flashwasm.runtime.runtime import Runtime

__all__ = ["SuiteIndex"]

Array = npt.NDArray[Any]


class SuiteIndex(ScoredIndex, items="tests"):
    """The tests of a suite, ready to be compared. `build` and `load` make an index.

    Parameters
    ----------
    suite : Suite
        The tests.
    scorers : sequence of Scorer
        Scorers that compare them.
    missing : sequence of str, default ()
        Packages or models that further scorers would need, with how to install them.
    data : SuiteScorerData, optional
        Data that the scorers were built from, for `save`; None saves the tests only.
    adaptation : int, optional
        Version of the adaptation to feedback that is in use; None if there is none.

    Attributes
    ----------
    root : pathlib.Path
        Folder that node ids are relative to: pytest's rootdir.
    tests : list of CollectedTest
        The tests.
    skipped : list of Skipped
        Files that could not be read, and the reasons.
    scorers : list of str
        Names of the scorers.
    """

    def __init__(
        self,
        suite: Suite,
        scorers: Sequence[Scorer],
        missing: Sequence[str] = (),
        data: SuiteScorerData | None = None,
        adaptation: int | None = None,
    ) -> None:
        self.root: Path = suite.root
        self.tests: list[CollectedTest] = suite.tests
        self.skipped: list[Skipped] = suite.skipped
        self.scorers = [scorer.name for scorer in scorers]
        self.missing = list(missing)
        self.adaptation = adaptation
        self._suite = suite
        self._data = SuiteScorerData() if data is None else data
        self._scorers = list(scorers)
        self._nodeids = NodeIdLookup(suite.tests, suite.root)

    @classmethod
    def build(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        scorers: Sequence[ScorerName] | None = None,
        coverage: CoverageIndex | None = None,
        adapted: bool = True,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Collect the tests under a folder, and build the scorers that compare them.

        Parameters
        ----------
        path : str or pathlib.Path
            A folder of pytest tests, or one file. Nothing in it is imported.
        model : str, pathlib.Path or SentenceEncoder, optional
            Name of an installed model, folder of a BERT-family model, or an encoder. None is the
            default model; if it is not installed, the other scorers run without it.
        scorers : sequence of str, optional
            Names of scorers: "characters", "identifiers", "structure" or "meaning". None is
            "characters", "structure" and "meaning", without those that lack a package or a model.
        coverage : CoverageIndex, optional
            Lines that each test runs, which are compared as well.
        adapted : bool, default True
            True to use the suite's active adaptation to feedback, if there is one.
        progress : bool, default False
            True to show progress on stderr.
        cache : bool, default True
            True to keep embeddings, terms and outlines in the user's cache folder.
        runtime : Runtime, optional
            Sandbox to embed and compare in; the process-wide one when None.

        Raises
        ------
        CapabilityError
            If a model, or a package of a scorer, that was asked for is not installed, or if no
            scorer can be built.
        ShapeError
            If there is no such path or scorer.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("an edge is added twice", k=3)[0].nodeid  # doctest: +SKIP
        'tests/test_graph.py::TestGraph::test_add_edge_twice'
        """
        for name in scorers or ():
            choice(name, "scorers", ALL_SCORERS)
        names = scorers or DEFAULT_SCORERS
        # The model's files are digested while the suite is read.
        opened = embedder_in_background(model, runtime, cache=cache) if "meaning" in names else None
        with progress_report("reading the suite", show=flag(progress, "progress")) as advance:
            suite = collect(path, cache=cache, progress=advance)
        root, sources = (
            suite.root if flag(adapted, "adapted") else None,
            [test.source for test in suite.tests],
        )
        data = SuiteScorerData()
        if coverage is not None and suite.tests:
            likeness = instance_of(coverage, CoverageIndex, "coverage").likeness(
                [(test.nodeid, *test.also) for test in suite.tests]
            )
            data.rows, data.width = likeness.rows, likeness.width
        builder = ScorerBuilder(sources, model, runtime, data, root, opened)
        needed = scorers or (["meaning"] if model is not None else [])
        built, missing = builder.scorers(names, needed=needed, progress=progress, cache=cache)
        return cls(suite, built, [*missing, *builder.notes], data, builder.adaptation)

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
        """Return the index that `save` wrote. The suite's own files are not read.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file.
        model : str, pathlib.Path or SentenceEncoder, optional
            As for `build`; None is the model that embedded the tests. With another model the tests
            are embedded again. Without any model, queries must be node ids.
        adapted : bool, default True
            True to use the suite's active adaptation to feedback, if there is one.
        progress : bool, default False
            True to show progress on stderr.
        runtime : Runtime, optional
            Sandbox to embed and compare in; the process-wide one when None.

        Raises
        ------
        CorruptFileError, CapabilityError, OSError
        """
        suite, names, data = read_suite(checked_path(path))
        root = suite.root if flag(adapted, "adapted") else None
        builder = ScorerBuilder([test.source for test in suite.tests], model, runtime, data, root)
        names = [name for name in names if name != CoverageScorer.name]
        shown = flag(progress, "progress")
        built, _ = builder.scorers(names, needed=names, progress=shown, cache=True)
        return cls(suite, built, builder.notes, data, builder.adaptation)

    def save(self, path: str | Path) -> None:
        """Write the tests and the data of the scorers to one file, whole or not at all."""
        write_suite(checked_path(path), self._suite, self.scorers, self._data)

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
            A node id, or the end of one that no other test has: the result then leaves that test
            out. Any other string is free text. A `pathlib.Path` stands for the text of that file,
            and the result leaves out the tests in it.
        k : int, default 10
            Number of tests to return, at most.
        explain : bool, default False
            True to add to each match the names and lines that it shares with the query.
        explore : float, default 0.0
            Share of the k places that goes to tests drawn at random from the first hundred.
        seed : int, optional
            Seed of that draw; None draws differently each time.

        Returns
        -------
        list of Match
            The highest score comes first, except for those drawn at random.

        Raises
        ------
        ShapeError
            If ``query`` is empty, has the form of a node id that no test has, or is the end of
            several node ids, or if ``k`` is not positive.
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
        """Return the scores ``(tests,)`` of each scorer for the position of a test, or a text."""
        scored = {scorer.name: scorer.scores(query) for scorer in self._scorers}
        return {name: scores for name, scores in scored.items() if scores is not None}

    def search(self, text: str, k: int = 10) -> list[Match]:
        """Return the k tests nearest to a text, which is never taken for a node id."""
        return self.similar_to_text(text)[: positive_int(k, "k")]

    def duplicates(self, *, coverage: CoverageIndex | None = None) -> list[DuplicateGroup]:
        """Return groups of tests that do the same, as `find_duplicates` finds them."""
        return find_duplicates(self.tests, coverage=coverage)

    def similar_to_text(self, text: str) -> list[Match]:
        """Return all tests, those most similar to a text first; it is never taken for a node id."""
        if not checked_text(text, "text").strip() or not self.tests:
            return []
        return self._ranked(text, None, len(self.tests), explain=False)

    def find(self, query: str) -> int | None:
        """Return the position in `tests` of the test that a query names, as `NodeIdLookup.find`."""
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
        """Return the k best tests for the test at ``own``, or else the text, but ``left_out``."""
        components = self.components(query if own is None else own)
        if not components:
            message = f"query {query[:80]!r} is not a test, and words have no structure to compare"
            raise ShapeError(message)
        total, shares = fused(components, own), shares_of_fused(components, own)
        source = query if own is None else self.tests[own].source
        best = np.argsort(-total, kind="stable")
        order = best[~np.isin(best, left_out)].tolist()
        matches = []
        for i, propensity in explore_ranking(order, k, explore, seed):
            test, why = self.tests[i], None
            if flag(explain, "explain"):
                why = self._explainer.explain(source, test.source)
            matches.append(match_at(i, test, total, (components, shares), why, propensity))
        return matches

    def explain(self, text: str, test: CollectedTest) -> Explanation:
        """Return the names and lines that text and test share, the rarest names first."""
        return self._explainer.explain(text, test.source)

    @cached_property
    def _explainer(self) -> Explainer:
        """The explainer over all tests, made when it is first needed."""
        return Explainer(test.source for test in self.tests)
