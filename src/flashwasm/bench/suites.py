"""The suites of `flashwasm bench`: what each measures, and the sections of its report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from flashwasm.bench.lengths import LENGTHS, Length, run_lengths
from flashwasm.bench.machine import PEAK_IS, peak_rate, read_rate
from flashwasm.bench.operations.cases import CASES, PEER_CASES
from flashwasm.bench.peers import report as peers_report
from flashwasm.bench.peers.encoding import run_encoder
from flashwasm.bench.peers.runner import Measurement, run_peers
from flashwasm.bench.peers.table import PEERS, Presence, presences
from flashwasm.bench.report import (
    HEADINGS,
    cells,
    machine,
    markdown,
    markdown_table,
    terminal_table,
    threads_title,
)
from flashwasm.bench.runner import Result, run_cases
from flashwasm.bench.scaling import SCALED, two_threads
from flashwasm.bench.search.cases import SEARCH_CASES, stored
from flashwasm.bench.search.runner import (
    SEARCH_HEADINGS,
    SearchResult,
    absent,
    run_search,
    search_cells,
)
from flashwasm.bench.search.targets import judge_searches
from flashwasm.bench.smallest import measure_overheads
from flashwasm.bench.targets import Verdict, judge
from flashwasm.bench.workloads import (
    ATTENTION_HEADINGS,
    OPERATION_HEADINGS,
    STRATEGY_HEADINGS,
    WORKLOAD_STEPS,
    StrategyResult,
    attention_rows,
    operation_rows,
    run_strategies,
    run_workloads,
    strategy_rows,
)
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flashwasm.bench.report import Rows
    from flashwasm.qe import WorkloadBenchmark

_RATES = ("peak_flops", "read_bytes_per_second")


@dataclass
class Findings:
    """What a run of some suites measured.

    Attributes
    ----------
    facts : dict
        The machine, versions, threads.
    results : list of Result
        Suite "ops".
    lengths : list of Length
        Suite "attention".
    searches : list of SearchResult
        Suite "search".
    presences, measurements : list
        Suite "peers": which are here, the cases.
    verdicts : list of Verdict
        The targets of suites "search" and "peers".
    encoder : str
        Why the encoder was not measured; empty where it was, or was not asked for.
    workloads, strategies : list
        Suite "workloads".
    """

    facts: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    lengths: list[Length] = field(default_factory=list)
    searches: list[SearchResult] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    encoder: str = ""
    workloads: list[WorkloadBenchmark] = field(default_factory=list)
    strategies: list[StrategyResult] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, which has no NaN."""
        document: dict[str, Any] = {"machine": self.facts}
        if self.results:
            document["results"] = [found.as_dict() for found in self.results]
        if self.lengths:
            document["lengths"] = [asdict(found) for found in self.lengths]
        if self.searches:
            document["search"] = [found.as_dict() for found in self.searches]
            document["absent"] = absent(SEARCH_CASES)
        if self.measurements:
            document["peers"] = [asdict(p) for p in self.presences]
            document["measurements"] = [asdict(m) for m in self.measurements]
            document["encoder_not_measured"] = self.encoder
        if self.workloads:
            document["workloads"] = [found.as_dict() for found in self.workloads]
            document["strategies"] = [found.as_dict() for found in self.strategies]
        if self.verdicts:
            document["targets"] = [asdict(v) for v in self.verdicts]
        plain: dict[str, Any] = _without_nan(document)
        return plain

    @property
    def missed(self) -> bool:
        """Whether a target was missed."""
        return any(verdict.status == "missed" for verdict in self.verdicts) or any(
            not found.meets_target for found in self.workloads
        )

    def tables(self) -> list[Any]:
        """Return the tables for the terminal."""
        tables = [terminal_table(*section) for section in self._sections()]
        if self.results:
            rows = [cells(result) for result in self.results]
            tables.insert(0, terminal_table(threads_title(self.facts), HEADINGS, rows))
        return tables

    def markdown(self) -> str:
        """Return the report as Markdown."""
        parts = [markdown(self.results, threads_title(self.facts))] if self.results else []
        if self.lengths or self.searches or self.measurements or self.workloads:
            notes = "\n".join(f"* {note}" for note in self.notes())
            parts.insert(0, f"# Figures of `flashwasm bench`\n\n{notes}\n")
        parts += [markdown_table(*section) for section in self._sections()]
        return "\n".join(parts)

    def _sections(self) -> list[tuple[str, Sequence[str], Rows]]:
        """Return title, headings and rows of each table but that of the results."""
        found: list[tuple[str, Sequence[str], Rows]] = []
        if self.lengths:
            rows = peers_report.length_rows(self.lengths)
            found.append(("Attention against its length, one thread", peers_report.LENGTHS, rows))
        if self.searches:
            rows = [search_cells(found) for found in self.searches]
            found.append(("Search, one thread a query", SEARCH_HEADINGS, rows))
        if self.measurements:
            here, cases = self.presences, self.measurements
            found.append(("Peers", peers_report.PEERS, peers_report.peer_rows(here)))
            found.append(("Cases", peers_report.CASES, peers_report.case_rows(cases, here)))
        if self.verdicts:
            rows = peers_report.target_rows(self.verdicts)
            found.append(("Targets", peers_report.TARGETS, rows))
        if self.workloads:
            rows = attention_rows(self.workloads)
            found.append(("Workloads: attention", ATTENTION_HEADINGS, rows))
            rows = operation_rows(self.workloads)
            found.append(("Workloads: operations, from Python", OPERATION_HEADINGS, rows))
            rows = strategy_rows(self.strategies)
            found.append(
                ("Strategies: attention, 8 heads of 64, length 512", STRATEGY_HEADINGS, rows)
            )
        return found

    def notes(self) -> list[str]:
        """Return what the tables do not say, a line each."""
        lines = [f"{name}: {value}" for name, value in self.facts.items() if name not in _RATES]
        if self.measurements:
            peak, read = (self.facts[name] / 1e9 for name in _RATES)
            lines.append(f"peak: {peak:.1f} GFLOP/s, {PEAK_IS}")
            lines.append(f"memory: {read:.1f} GB/s read by one thread")
        if self.searches:
            lines += absent(SEARCH_CASES)
        if self.encoder:
            lines.append(f"the encoder was not measured: {self.encoder}")
        return lines


def known_operations(suite: str) -> list[str]:
    """Return what ``--op`` may choose from."""
    cases = PEER_CASES if suite == "peers" else CASES
    return sorted({case.operation for case in cases}, key=str.lower)


def steps(suite: str, operations: Sequence[str]) -> int:
    """Return how many steps a suite has, for a progress bar."""
    count = 0
    if suite in {"ops", "all"}:
        count += len(_chosen(CASES, operations))
    if suite in {"attention", "all"}:
        count += 2 * len(LENGTHS)
    if suite in {"search", "all"}:
        count += len(SEARCH_CASES)
    if suite in {"peers", "all"}:
        count += len(_chosen(PEER_CASES, operations)) + (0 if operations else 2)
    if suite in {"workloads", "all"}:
        count += WORKLOAD_STEPS
    return count


def run_suites(
    suite: str,
    operations: Sequence[str],
    threading: tuple[int, str],
    searched: tuple[int, Path | None],
    advance: Callable[[int], None],
) -> Findings:
    """Run a suite.

    Parameters
    ----------
    suite : {"ops", "attention", "search", "peers", "workloads", "all"}
        Which.
    operations : sequence of str
        Only these; all where it is empty.
    threading : (int, str)
        Threads for whatever can have them, and what NumPy's BLAS was told.
    searched : (int, path or None)
        How many vectors to search, and a file of vectors to search in place of the docstrings'.
    advance : callable
        Called with 1 after each step.

    Returns
    -------
    Findings
    """
    threads, numpy_threads = threading
    vectors, path = searched
    # A file that cannot be searched is refused before anything is measured.
    search_cases = SEARCH_CASES if path is None else (*SEARCH_CASES[:-1], stored(path))
    found = Findings(machine(threads, numpy_threads))
    if suite in {"ops", "all"}:
        for result in run_cases(_chosen(CASES, operations), threads):
            found.results.append(result)
            advance(1)
    if suite in {"attention", "all"}:
        for length in run_lengths():
            found.lengths.append(length)
            advance(1)
    if suite in {"search", "all"}:
        for case in search_cases:
            found.searches.extend(run_search(case, vectors, threads))
            advance(1)
        found.verdicts += judge_searches(found.searches)
    if suite in {"peers", "all"}:
        _run_peers(found, operations, threads, advance)
    if suite in {"workloads", "all"}:
        for workload in run_workloads():
            found.workloads.append(workload)
            advance(1)
        found.strategies = run_strategies()
        advance(1)
    return found


def _run_peers(
    found: Findings, operations: Sequence[str], threads: int, advance: Callable[[int], None]
) -> None:
    found.facts["peak_flops"] = peak_rate()
    found.facts["read_bytes_per_second"] = read_rate()
    found.presences = presences(PEERS, threads)
    absent = {p.name for p in found.presences if p.missing}
    here = [peer for peer in PEERS if peer.name not in absent]
    for measurement in run_peers(_chosen(PEER_CASES, operations), here, threads):
        found.measurements.append(measurement)
        advance(1)
    overheads, scaling = None, {}
    if not operations:
        try:
            found.measurements.append(run_encoder([peer.name for peer in here], threads))
        except CapabilityError as error:
            found.encoder = str(error)
        advance(1)
        scaling = {case.name: two_threads(case) for case in SCALED}
        overheads = measure_overheads()
        advance(1)
    found.verdicts += judge(found.measurements, found.presences, overheads, scaling, threads)


def _chosen(cases: Sequence[Any], operations: Sequence[str]) -> list[Any]:
    return [case for case in cases if not operations or case.operation in operations]


def _without_nan(value: Any) -> Any:
    """Return a document with None for NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
