"""The report of `python -m bench quality` on past changes: `--history` and `--releases`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.baselines import TFIDF
from bench.quality.change_ranking import (
    METRICS,
    OURS,
    PERFECT,
    WITH_COVERAGE,
    WITHOUT_MODEL,
    RankedChange,
    measures_of,
    rank_change,
    scores_of,
)
from bench.quality.evidence_weights import WeightChoice
from bench.quality.git_history import commits_of
from bench.quality.measures import interval
from bench.quality.releases import change_between
from flashwasm.benchmarks.report import markdown_table, terminal_table
from flashwasm.cli.output import note, note_missing
from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report

if TYPE_CHECKING:
    from bench.quality.past_changes import PastChange
    from flashwasm.benchmarks.report import Rows
    from flashwasm.cli.bench_options import Outputs

__all__ = ["TARGETS", "report_history"]

Array = npt.NDArray[Any]
# Least means over the changes, with the model.
TARGETS = {"MRR": 0.60, "recall@10": 0.78, "recall at 10 %": 0.94}


def report_history(
    repositories: Sequence[Path],
    releases: Sequence[tuple[Path, Path]],
    commits: int,
    model: str | None,
    outputs: Outputs,
    *,
    weights: bool,
    record: bool,
) -> None:
    """Rank the tests for past changes, and print the ranks of those that changed with the product.

    Parameters
    ----------
    repositories : sequence of pathlib.Path
        Git repositories.
    releases : sequence of (pathlib.Path, pathlib.Path)
        Pairs of releases of one package, unpacked, the older first.
    commits : int
        Maximum number of commits of each repository.
    model : str or None
        Installed model's name or folder. None means the default model, if it is installed.
    outputs : Outputs
        Destinations of the report.
    weights : bool
        True to choose weights of the evidence as well.
    record : bool
        True to run the suite before each commit, and also rank with its coverage. Commits before
        which no test passes are left out.

    Raises
    ------
    ShapeError
        If there is no change of both product and tests.
    """
    found: list[RankedChange] = []
    past = _changes(repositories, releases, commits, record=record)
    # An error must remove the temporary clone at once.
    with closing(past), progress_report("past changes") as advance:
        total = len(repositories) * commits + len(releases)
        for change in past:
            if record and change.coverage is None:
                note(f"{change.project} {change.name}: left out; no test passes before it")
                continue
            found.append(rank_change(change, model))
            advance(len(found), max(total, len(found)))
    if not found:
        raise ShapeError("history: expected a change of product and existing tests, got none")
    note_missing(list(dict.fromkeys(line for change in found for line in change.missing)))
    measured = _measured(found)
    verdicts = _verdicts(measured)
    sections = [_values(found, measured), _differences(measured)]
    if weights:
        with progress_report("weights") as advance:
            sections.append(WeightChoice(found, advance).section())
    document = {
        "changes": [
            {"project": one.project, "name": one.name, "tests": len(one.relevant)}
            | {method: values[place] for method, values in measured.items()}
            for place, one in enumerate(found)
        ],
        "tables": [dict(zip(("title", "headings", "rows"), one, strict=True)) for one in sections],
        "targets": verdicts,
    }
    lines = "".join(f"* {line}\n" for line in verdicts)
    tables = [markdown_table(*section) for section in sections]
    outputs.write(document, "\n".join([f"# Tests for past changes\n\n{lines}", *tables]))
    outputs.show([terminal_table(*section) for section in sections], verdicts)
    outputs.end(missed=any(line.startswith("MISSED") for line in verdicts))


def _changes(
    repositories: Iterable[Path],
    releases: Iterable[tuple[Path, Path]],
    commits: int,
    *,
    record: bool,
) -> Generator[PastChange, None, None]:
    """Yield the changes of all repositories and pairs of releases, and report which have none."""
    for repository in repositories:
        number = yield from _counted(commits_of(repository, commits, record=record))
        if number < commits:
            note(f"{repository}: {number} commits that change both product and tests")
    for old, new in releases:
        if not (yield from _counted(change_between(old, new))):
            note(f"{old.name} to {new.name}: left out; it is too large, or of one kind only")


def _counted(changes: Iterable[PastChange]) -> Generator[PastChange, None, int]:
    """Yield some changes, and return their number."""
    number = 0
    for change in changes:
        number += 1
        yield change
    return number


def _measured(found: Sequence[RankedChange]) -> dict[str, list[dict[str, float]]]:
    """Return each method's measures of each change."""
    measured: dict[str, list[dict[str, float]]] = {}
    for change in found:
        for method, scores in scores_of(change).items():
            measured.setdefault(method, []).append(measures_of(scores, change.relevant))
    return measured


def _column(measures: Iterable[dict[str, float]], metric: str) -> Array:
    """Return the values of one metric."""
    return np.array([one[metric] for one in measures])


def _values(
    found: Sequence[RankedChange], measured: dict[str, list[dict[str, float]]]
) -> tuple[str, Sequence[str], Rows]:
    """Return the table of means by method, with the median for the rank."""
    projects = Counter(change.project for change in found)
    named = ", ".join(f"{name} {count}" for name, count in projects.items())
    rows = []
    for method, measures in measured.items():
        cells = []
        for metric in METRICS:
            values = _column(measures, metric)
            rank = metric == "rank"
            cells.append(f"{np.median(values):g}" if rank else f"{values.mean():.3f}")
        rows.append((method, *cells))
    headings = ("library", *("median rank" if m == "rank" else m for m in METRICS))
    return f"Tests for {len(found)} past changes: {named}", headings, rows


def _differences(
    measured: dict[str, list[dict[str, float]]],
) -> tuple[str, Sequence[str], Rows]:
    """Return the table of differences between flashwasm and each baseline, with intervals.

    The last rows are the differences that coverage makes.
    """
    rows: Rows = []
    ours = OURS if OURS in measured else WITHOUT_MODEL
    covered = [(ours, WITH_COVERAGE, metric) for metric in TARGETS if WITH_COVERAGE in measured]
    for method, ours, metric in [*_compared(measured), *covered]:
        mean, low, high = _over(measured, ours, method, metric)
        rows.append((ours, metric, method, f"{mean:+.3f}", f"{low:+.3f} to {high:+.3f}"))
    return (
        "Differences, with their 95 % intervals",
        ("by", "metric", "library", "over", "95 %"),
        rows,
    )


def _compared(measured: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each baseline, the ranking that must be above it, and each metric with a target.

    The ranking without the model is compared only with the baseline of the text. That with coverage
    has more to go by, and is no baseline.
    """
    own = [method for method in (OURS, WITHOUT_MODEL) if method in measured]
    baselines = [method for method in measured if method not in {*own, WITH_COVERAGE, PERFECT}]
    for ours, method, metric in itertools.product(own, baselines, TARGETS):
        if ours == OURS or method == TFIDF:
            yield method, ours, metric


def _over(
    measured: dict[str, list[dict[str, float]]], ours: str, method: str, metric: str
) -> tuple[float, float, float]:
    """Return the mean of the paired differences of two methods, and its interval."""
    return interval(_column(measured[ours], metric) - _column(measured[method], metric))


def _verdicts(measured: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return a line for each target: met, MISSED, or not measured."""
    if OURS not in measured:
        return ["not measured: the targets are for a ranking with the model"]
    lines = []
    for metric, least in TARGETS.items():
        mean = _column(measured[OURS], metric).mean()
        status = "met" if mean >= least else "MISSED"
        lines.append(f"{status}: {metric} {mean:.3f}, target {least:.2f}")
    below = [
        f"{ours}, {metric} over {method}"
        for method, ours, metric in _compared(measured)
        if _over(measured, ours, method, metric)[1] <= 0
    ]
    if below:
        lines.append(f"MISSED: intervals that do not exclude zero: {'; '.join(below)}")
    else:
        lines.append("met: above all baselines, with intervals that exclude zero")
    return lines
