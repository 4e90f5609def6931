"""The number of cases of each test, as pytest counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flashwasm.qe.coverage.names_by_end import value_by_end
from flashwasm.qe.suites.parametrize_literals import literal_cases

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["CaseCounts", "case_counts"]


@dataclass(frozen=True)
class CaseCounts:
    """Numbers of cases.

    Parameters
    ----------
    counts : mapping of str to int
        Number of cases of each test, by node id. If several classes inherit a test, all cases count
        under its first node id.
    guessed : list of str
        Node ids of parametrised tests with an unknown number of cases. Each counts as one case.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)

    def of(self, test: CollectedTest) -> int:
        """Return the number of cases of a test; 1 if it is unknown."""
        return self.counts.get(test.nodeid, 1)


def case_counts(
    tests: Sequence[CollectedTest],
    coverage: CoverageIndex | None = None,
    ran: Mapping[str, int] | None = None,
) -> CaseCounts:
    """Count the cases of tests in earlier runs, or else in literals of ``parametrize``.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests.
    coverage : CoverageIndex, optional
        Coverage of an earlier run, with a context for each case.
    ran : mapping of str to int, optional
        Number of cases of each test in the report of an earlier run, by node id.
    """
    recorded: Mapping[str, int] = Counter()
    if coverage is not None:
        recorded = Counter(name.partition("[")[0] for name in coverage.tests)
    written = {path: literal_cases(path) for path in {test.path for test in tests}}
    counts: dict[str, int] = {}
    guessed: list[str] = []
    for test in tests:
        total = 0
        for nodeid in (test.nodeid, *test.also):
            before = value_by_end(nodeid, ran or {}) or value_by_end(nodeid, recorded)
            # An inherited test is written in the class that defines it.
            name = test.nodeid.partition("::")[2]
            literal = written[test.path].get(name, 1)
            if before is None and literal is None:
                guessed.append(nodeid)
            total += before or literal or 1
        counts[test.nodeid] = total
    return CaseCounts(counts, guessed)
