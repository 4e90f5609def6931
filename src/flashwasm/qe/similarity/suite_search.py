"""Search among the tests of a suite for the tests most similar to a test or a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_unicode
from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup, find_duplicates
from flashwasm.qe.scoring.score_fusion import fused, shares_of_fused
from flashwasm.qe.scoring.scorers import ScoredIndex, Scorer
from flashwasm.qe.similarity.explanation import Explainer, Explanation
from flashwasm.qe.similarity.exploratory_ranking import explore_ranking
from flashwasm.qe.similarity.match import Match, match_at
from flashwasm.qe.similarity.query_file import tests_of, text_of
from flashwasm.qe.similarity.stored_scorers import SuiteScorerData
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup
from flashwasm.validation import flag, positive_int

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.suites.source_files import Skipped
    from flashwasm.qe.suites.suite import CollectedTest, Suite

__all__ = ["SuiteSearch"]

Array = npt.NDArray[Any]


class SuiteSearch(ScoredIndex, items="tests"):
    """Methods to search among the tests of a suite, which `SuiteIndex` inherits.

    Parameters
    ----------
    suite, scorers, missing, data, adaptation
        As for `SuiteIndex`.
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
        self.path: Path = suite.path
        self.tests: list[CollectedTest] = suite.tests
        self.skipped: list[Skipped] = suite.skipped
        self.scorers = [scorer.name for scorer in scorers]
        self.missing = list(missing)
        self.adaptation = adaptation
        self._suite = suite
        self._data = SuiteScorerData() if data is None else data
        self._scorers = list(scorers)
        self._nodeids = NodeIdLookup(suite.tests, suite.root)

    def similar(
        self,
        query: str | Path,
        k: int = 10,
        *,
        explain: bool = False,
        explore: float = 0.0,
        seed: int | None = None,
    ) -> list[Match]:
        """Return the tests most similar to a query.

        Parameters
        ----------
        query : str or pathlib.Path
            A node id or an unambiguous end of one, which searches for tests like this test, without
            the test itself. Any other string is free text. A `pathlib.Path` is the text of that
            file, and the result leaves out the tests in the file.
        k : int, default 10
            Maximum number of tests to return.
        explain : bool, default False
            True to add the names and lines in common with the query to each match.
        explore : float, default 0.0
            Share of the k places to fill with tests drawn at random from the first hundred.
        seed : int, optional
            Seed of that draw; None uses a different seed each time.

        Returns
        -------
        list of Match
            The matches, with the highest score first, except for those drawn at random.

        Raises
        ------
        ShapeError
            If ``query`` has no letter and no digit, if it has the form of a node id that matches no
            test, if it matches several tests, or if ``k`` is not positive.
        DTypeError
            If ``query`` is not a text or a path, or is not valid Unicode.
        """
        positive_int(k, "k")
        text = text_of(query)
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
        """Return the k tests most similar to a text, which is never treated as a node id."""
        return self.similar_to_text(text)[: positive_int(k, "k")]

    def duplicates(self, *, coverage: CoverageIndex | None = None) -> list[DuplicateGroup]:
        """Return groups of duplicate tests from `find_duplicates`."""
        return find_duplicates(self.tests, coverage=coverage)

    def similar_to_text(self, text: str) -> list[Match]:
        """Return all tests, the most similar to a text first. It is never treated as a node id."""
        if not checked_unicode(text, "text").strip() or not self.tests:
            return []
        return self._ranked(text, None, len(self.tests), explain=False)

    def find(self, query: str) -> int | None:
        """Return the position of the test that a query names, as in `NodeIdLookup.find`."""
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
        """Return the k best tests for the test at ``own`` or the text, except ``left_out``."""
        components = self.components(query if own is None else own)
        if not components:
            message = (
                f"query {query[:80]!r} is not a test, and words have no structure to compare; "
                "expected a node id"
            )
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
        """Return the names and lines that a text and a test have in common, rarest names first."""
        return self._explainer.explain(text, test.source)

    @cached_property
    def _explainer(self) -> Explainer:
        """The explainer over all tests, created at the first use."""
        return Explainer(test.source for test in self.tests)
