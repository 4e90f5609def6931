"""A report on a suite: its map, duplicates, gaps, failures and benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashwasm.qe.reports.benchmark_charts import benchmark_charts
from flashwasm.qe.reports.html_pages import failure_groups, gaps_with_source, groups_by_tier
from flashwasm.qe.reports.page_template import fill_template

if TYPE_CHECKING:
    from flashwasm.qe.coverage.gaps import Gap
    from flashwasm.qe.defects.failure_clusters import FailureCluster
    from flashwasm.qe.defects.failure_files import TestFailure
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup
    from flashwasm.qe.reports.suite_map import SuiteMap
    from flashwasm.qe.suites.suite import Suite

__all__ = ["SuiteReport"]

# Number of digits of a point's position, more than a screen shows.
_DIGITS = 4
# Functions with gaps that the page shows. Thousands would make it too large for a browser.
_MOST_GAPS = 100


@dataclass
class SuiteReport:
    """The parts of a report.

    Parameters
    ----------
    suite : Suite
        The tests.
    map : SuiteMap
        Positions of the tests on a plane.
    compared : str
        Basis of the map: "meanings" of embedded tests, or "words".
    duplicates : sequence of DuplicateGroup
        Groups of duplicate tests.
    gaps : sequence of Gap, optional
        Lines that no test runs; None without a coverage database.
    root : pathlib.Path, default the working folder
        Folder that the paths of the gaps are relative to.
    failures : sequence of TestFailure, optional
        Failures; None if no report of a run was given.
    clusters : sequence of FailureCluster, default ()
        The failures in groups.
    benchmark : mapping, optional
        Document that ``flashwasm bench --json`` wrote.
    notes : sequence of str, default ()
        Remarks on missing parts of the report.
    """

    suite: Suite
    map: SuiteMap
    compared: str
    duplicates: Sequence[DuplicateGroup]
    gaps: Sequence[Gap] | None = None
    root: Path = Path()
    failures: Sequence[TestFailure] | None = None
    clusters: Sequence[FailureCluster] = ()
    benchmark: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()

    def page(self) -> str:
        """Return the report as one HTML file.

        Raises
        ------
        CapabilityError
            If Jinja2 is not installed.
        ShapeError
            If the benchmark contains no results for a chart.
        """
        failures, known = self.failures, self.benchmark
        groups = None if failures is None else failure_groups(self.clusters, failures)
        place = self.suite.path
        gaps = None if self.gaps is None else gaps_with_source(self.gaps[:_MOST_GAPS], self.root)
        return fill_template(
            "report.html",
            charts=True,
            title=f"Report on {place.name or place}",
            place=str(place),
            parts_shown=self._headings(),
            facts=self._facts(),
            notes=self.notes,
            compared=self.compared,
            map={"clusters": self._map_clusters()},
            tests=len(self.suite.tests),
            skipped=self._skipped(),
            tiers=groups_by_tier(self.duplicates),
            gaps=gaps,
            total_gaps=len(self.gaps or ()),
            groups=groups,
            total_groups=len(self.clusters),
            benchmarks=None if known is None else benchmark_charts(known),
        )

    def _headings(self) -> list[tuple[str, str]]:
        """Return the anchor and the name of each part of the page."""
        parts = [
            ("failures", "Failures", self.failures is not None),
            ("gaps", "Gaps", self.gaps is not None),
            ("duplicates", "Duplicates", True),
            ("map", "Map", True),
            ("benchmarks", "Benchmarks", self.benchmark is not None),
        ]
        return [(anchor, name) for anchor, name, shown in parts if shown]

    def _facts(self) -> list[tuple[str, int, str]]:
        """Return the numbers at the top of the page, each with the anchor of its part or ""."""
        tests = self.suite.tests
        facts = []
        if self.failures is not None:
            facts += [
                ("failures", len(self.failures), "failures"),
                ("causes of failures", len(self.clusters), "failures"),
            ]
        if self.gaps is not None:
            facts.append(("functions with gaps", len(self.gaps), "gaps"))
        facts += [
            ("groups of duplicates", len(self.duplicates), "duplicates"),
            ("tests", len(tests), "map"),
            ("test files", len({test.path for test in tests}), ""),
        ]
        if self.suite.skipped:
            facts.append(("files not fully read", len(self.suite.skipped), "skipped"))
        return facts

    def _skipped(self) -> list[tuple[str, str]]:
        """Return the files that were not fully read, each with the reason."""
        place = self.suite.path
        return [
            (str(path.relative_to(place) if path.is_relative_to(place) else path), one.reason)
            for one in self.suite.skipped
            for path in [one.path]
        ]

    def _map_clusters(self) -> list[dict[str, Any]]:
        """Return the name and the points of each cluster, a point as x, y and node id."""
        clusters: list[dict[str, Any]] = [{"name": name, "points": []} for name in self.map.names]
        places = self.map.points.astype(float).round(_DIGITS).tolist()
        numbers = self.map.clusters.tolist()
        for test, (x, y), number in zip(self.suite.tests, places, numbers, strict=True):
            clusters[number]["points"].append((x, y, test.nodeid))
        return [cluster for cluster in clusters if cluster["points"]]
