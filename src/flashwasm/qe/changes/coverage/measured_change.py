"""A change of a measured file: the tests that ran its functions, and why there may be more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.coverage.uncovered_lines import uncovered_lines
from flashwasm.qe.changes.functions.touched_functions import touched_functions

if TYPE_CHECKING:
    from flashwasm.qe.changes.coverage.coverage_evidence import CoverageEvidence
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["MeasuredChange"]


class MeasuredChange:
    """A change of a file that coverage measured before the change.

    Parameters
    ----------
    change : ChangedFile
        The change.
    file : pathlib.Path
        The file after the change.
    evidence : CoverageEvidence
        The coverage database.
    name : str
        Database's name of the file.

    Attributes
    ----------
    callers : list of tuple of (str, set of str)
        For each function that the change touches: the place of its first changed line, such as
        "shop/cart.py:12", and the node ids of the tests that ran the function.
    """

    def __init__(
        self, change: ChangedFile, file: Path, evidence: CoverageEvidence, name: str
    ) -> None:
        self._change = change
        self._touched = touched_functions(change, file)
        self._covered = evidence.covered(name)
        self._imported, self._fixtures = evidence.outside_tests(name)
        # All lines of a function count, because a change may move a line into or out of a branch.
        self.callers = [
            (f"{change.path}:{changed[0]}", evidence.runners(name, lines))
            for lines, changed in self._touched.functions.items()
        ]

    def wider(self) -> list[str]:
        """Return the reasons why the change may reach more tests than these callers."""
        reasons = list(self._touched.wider)
        if not self._imported - self._touched.bodies:
            # The first test that imported the module ran its import-time lines for all tests.
            reasons.append(f"{self._change.path} was first imported by a test")
        for lines, (place, tests) in zip(self._touched.functions, self.callers, strict=True):
            if not tests:
                reasons.append(f"no test covers {place}")
            elif not self._imported.isdisjoint(lines):
                reasons.append(f"the function of {place} runs at import")
            elif not self._fixtures.isdisjoint(lines):
                # A fixture with a wide scope runs only for the first test that uses it.
                reasons.append(f"a fixture runs the function of {place}")
        return reasons

    def uncovered(self) -> list[int]:
        """Return the changed lines that no test ran, with their numbers after the change."""
        functions = zip(self._touched.functions.values(), self.callers, strict=True)
        without_callers = [changed for changed, (_, tests) in functions if not tests]
        ran = self._imported | self._covered
        return uncovered_lines(self._change, self._touched, ran, without_callers)
