"""The budget of a test run: a number of test cases, or a time in seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError

if TYPE_CHECKING:
    from flashwasm.qe.changes.ranking.case_counts import CaseCounts
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest

__all__ = ["parse_budget", "within_budget"]

# Assumed duration in seconds of a case without a recorded one.
_UNKNOWN_SECONDS = 0.1


def parse_budget(budget: str) -> float | int:
    """Return seconds as a float for ``60s`` or ``2m``, or a number of tests as an int for ``60``.

    Raises
    ------
    ShapeError
        If the text is in none of these formats, or the number of tests is 0.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m)|([1-9]\d*)", budget.strip())
    if not found:
        raise ShapeError(f"budget {budget!r}: expected seconds as 60s, minutes as 2m, or a number")
    if found[3]:
        return int(found[3])
    return float(found[1]) * (60 if found[2] == "m" else 1)


def within_budget(
    tests: Sequence[SelectedTest],
    budget: float,
    times: Mapping[str, float],
    counts: CaseCounts | None = None,
) -> list[SelectedTest]:
    """Return the tests that fit into a budget, in their order.

    A test that does not fit into what is left is passed over, and those after it may still fit.

    Parameters
    ----------
    tests : sequence of SelectedTest
        Tests, the most relevant first.
    budget : int or float
        Number of cases as an int, or seconds as a float. The first test always fits into a number.
    times : mapping of str to float
        Total duration of the cases of each test in an earlier run in seconds, by node id. Each case
        of a missing test counts as 0.1 s.
    counts : CaseCounts, optional
        Number of cases of each test. By default, each test has one case.
    """
    chosen: list[SelectedTest] = []
    spent = 0.0
    for selected in tests:
        cost: float = 1 if counts is None else counts.of(selected.test)
        if not isinstance(budget, int):
            cost = times.get(selected.test.nodeid, cost * _UNKNOWN_SECONDS)
        first_of_number = isinstance(budget, int) and not chosen
        if spent + cost <= budget or first_of_number:
            chosen.append(selected)
            spent += cost
    return chosen
