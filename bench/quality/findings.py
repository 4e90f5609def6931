"""The evaluation of `python -m bench quality`, and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.quality.failures import measure_failures
from bench.quality.functions import measure_search
from bench.quality.known import KNOWN_HEADINGS, KnownRow, measure_known
from bench.quality.labelled_failures import read_labelled
from bench.quality.similarity import SuiteQuality
from flashwasm.benchmarks.report import markdown_table, terminal_table
from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from bench.quality.measures import Figure
    from flashwasm.benchmarks.report import Rows

__all__ = ["QualityFindings", "QualityInputs", "measure_quality"]

_HEADINGS = ("what", "collection", "queries", "library", "metric", "value", "over baseline", "95 %")


@dataclass(frozen=True)
class QualityInputs:
    """Collections to evaluate.

    Parameters
    ----------
    suites : sequence of pathlib.Path
        Folders of packages with their tests.
    coverage, failures : pathlib.Path, optional
        A coverage.py database of the first suite, and failures with their defects as JSON lines.
    model : str, optional
        Installed model's name or folder. None means the default model, if it is installed.
    """

    suites: Sequence[Path] = ()
    coverage: Path | None = None
    failures: Path | None = None
    model: str | None = None


@dataclass
class QualityFindings:
    """All results of a run.

    Attributes
    ----------
    figures : list of Figure
        Figures, each of which is a row of the table.
    known : list of KnownRow
        Verdicts on failures whose defects are missing in a library, and on failures whose defects
        are in it.
    missing : list of str
        Packages or models that are not installed, each with the command that installs it.
    """

    figures: list[Figure] = field(default_factory=list)
    known: list[KnownRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        return {
            "missing": self.missing,
            "figures": [figure.as_dict() for figure in self.figures],
            "known": [row.as_dict() for row in self.known],
        }

    def tables(self) -> list[Any]:
        """Return the tables for the terminal."""
        return [terminal_table(*section) for section in self._sections()]

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        notes = "".join(f"* {line}\n" for line in self.missing)
        parts = [f"# Quality, by `python -m bench quality`\n\n{notes}"]
        return "\n".join(parts + [markdown_table(*section) for section in self._sections()])

    def _sections(self) -> list[tuple[str, Sequence[str], Rows]]:
        """Return title, headings and rows of each table."""
        found: list[tuple[str, Sequence[str], Rows]] = []
        if self.figures:
            rows = [_cells(figure) for figure in self.figures]
            found.append(("Quality, over the baseline with its 95 % interval", _HEADINGS, rows))
        if self.known:
            rows = [row.cells() for row in self.known]
            found.append(("Failures called known", KNOWN_HEADINGS, rows))
        return found


def _cells(figure: Figure) -> tuple[str, ...]:
    """Return the cells of a figure, in the order of the headings."""
    over = "" if figure.over is None else f"{figure.over:+.3f}"
    bounds = "" if figure.low is None else f"{figure.low:+.3f} to {figure.high:+.3f}"
    return (
        figure.workload,
        figure.data,
        str(figure.queries),
        figure.method,
        figure.metric,
        f"{figure.value:.3f}",
        over,
        bounds,
    )


def measure_quality(inputs: QualityInputs) -> QualityFindings:
    """Evaluate all given collections, with progress on stderr.

    Parameters
    ----------
    inputs : QualityInputs
        Collections to evaluate.

    Raises
    ------
    ShapeError
        If nothing is given, or if a coverage database is given without a suite.
    """
    if not (inputs.suites or inputs.failures):
        raise ShapeError("quality: nothing to measure; expected suites or failures")
    if inputs.coverage is not None and not inputs.suites:
        raise ShapeError("coverage: expected the suite that it was recorded with, got none")
    found = QualityFindings()
    missing: dict[str, None] = {}
    coverage = None if inputs.coverage is None else CoverageIndex.load(inputs.coverage)
    labelled = None if inputs.failures is None else read_labelled(inputs.failures)
    for number, path in enumerate(inputs.suites):
        name = path.resolve().name
        index = SuiteIndex.build(path, model=inputs.model, progress=True)
        missing.update(dict.fromkeys(index.missing))
        quality = SuiteQuality(name, index, None if number else coverage)
        with progress_report(f"similar tests of {name}") as advance:
            found.figures += quality.measure(advance)
        with progress_report(f"docstrings of {name}") as advance:
            found.figures += measure_search(name, path, inputs.model, advance)
    if labelled is not None and inputs.failures is not None:
        with progress_report("failures") as advance:
            found.figures += measure_failures(inputs.failures.name, labelled, advance)
        with progress_report("verdicts on failures") as advance:
            found.known = measure_known(inputs.failures.name, labelled, advance)
    found.missing = list(missing)
    return found
