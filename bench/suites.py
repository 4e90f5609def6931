"""The suites of `python -m bench`: the measurements that each makes, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.findings import Comparison
from bench.machine import peak_rate, read_rate
from bench.peers.cases import PEER_CASES, QUICK_CASES
from bench.peers.encoding import run_encoder
from bench.peers.runner import EFFORT, QUICK_EFFORT, run_peers
from bench.peers.table import PEERS, presences
from bench.scaling import SCALED, two_threads
from bench.search import runner as search_runner
from bench.search.cases import SEARCH_CASES, stored
from bench.search.runner import absent, run_search
from bench.search.targets import judge_searches
from bench.smallest import measure_overheads
from bench.targets import judge
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.benchmarks.report import machine
from flashwasm.cli import bench_report
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.scaling import Scaling
    from flashwasm.benchmarks.case import Case


@dataclass(frozen=True)
class Request:
    """A wish for measurements.

    Attributes
    ----------
    suite : {"peers", "search", "all"}
        Name of the command.
    operations : tuple of str
        Operations to measure; all if it is empty.
    threads : int
        Threads for each library that can have threads.
    numpy_threads : str
        Number of threads that NumPy's BLAS was told.
    vectors : int
        Number of vectors to search.
    embeddings : pathlib.Path or None
        File of vectors to search in place of embedded docstrings.
    quick : bool
        True measures small cases for a short time.
    """

    suite: str
    operations: tuple[str, ...]
    threads: int
    numpy_threads: str
    vectors: int
    embeddings: Path | None
    quick: bool

    def has(self, suite: str) -> bool:
        """Return True if a suite was asked for, by itself or with all others."""
        return self.suite in {suite, "all"}

    @property
    def peer_cases(self) -> list[Case]:
        """Cases to compare with other libraries."""
        cases = QUICK_CASES if self.quick else PEER_CASES
        return [case for case in cases if not self.operations or case.operation in self.operations]

    @property
    def also_overheads(self) -> bool:
        """True if the encoder, two threads and the overheads are to be measured besides cases."""
        return not (self.operations or self.quick)


def known_operations(suite: str) -> set[str]:
    """Return the names that ``--op`` may choose from."""
    cases: Sequence[Case] = PEER_CASES if suite == "peers" else (*CASES, *PEER_CASES)
    return {case.operation for case in cases}


def steps(request: Request) -> int:
    """Return the number of steps of a run, for its progress bar."""
    count = 0
    if request.suite == "all":
        count += bench_report.steps("all", request.operations, quick=request.quick)
    if request.has("search"):
        count += len(SEARCH_CASES)
    if request.has("peers"):
        count += len(request.peer_cases) + 2 * request.also_overheads
    return count


def run(request: Request, advance: Callable[[int], None]) -> Comparison:
    """Make the measurements of a suite.

    Parameters
    ----------
    request : Request
        The measurements to make.
    advance : callable
        Function that is called with 1 after each step.

    Returns
    -------
    Comparison
    """
    search_cases = list(SEARCH_CASES)
    if request.embeddings is not None:
        # A file that cannot be searched is refused here, before anything is measured.
        search_cases[-1] = stored(request.embeddings)
    found = Comparison(machine(request.threads, request.numpy_threads))
    if request.suite == "all":
        threading = (request.threads, request.numpy_threads)
        own = bench_report.run("all", request.operations, threading, advance, quick=request.quick)
        found.results, found.lengths = own.results, own.lengths
        found.workloads, found.strategies = own.workloads, own.strategies
    if request.has("search"):
        search_effort = search_runner.QUICK_EFFORT if request.quick else search_runner.EFFORT
        for case in search_cases:
            results = run_search(case, request.vectors, request.threads, search_effort)
            found.searches.extend(results)
            advance(1)
        found.absent = absent(SEARCH_CASES)
        if not request.quick:
            found.verdicts += judge_searches(found.searches)
    if request.has("peers"):
        _run_peers(found, request, advance)
    return found


def _run_peers(found: Comparison, request: Request, advance: Callable[[int], None]) -> None:
    """Compare operations with the libraries that are installed, and judge the results."""
    threads = request.threads
    found.facts["peak_flops"] = peak_rate()
    found.facts["read_bytes_per_second"] = read_rate()
    found.presences = presences(PEERS, threads)
    missing = {p.name for p in found.presences if p.missing}
    here = [peer for peer in PEERS if peer.name not in missing]
    effort = QUICK_EFFORT if request.quick else EFFORT
    for measurement in run_peers(request.peer_cases, here, threads, effort):
        found.measurements.append(measurement)
        advance(1)
    overheads = None
    scaling: dict[str, Scaling | None] = {}
    if request.also_overheads:
        try:
            found.measurements.append(run_encoder([peer.name for peer in here], threads))
        except CapabilityError as error:
            found.encoder = str(error)
        advance(1)
        scaling = {case.name: two_threads(case) for case in SCALED}
        overheads = measure_overheads()
        advance(1)
    # The targets are for the cases of a whole run.
    if not request.quick:
        found.verdicts += judge(found.measurements, found.presences, overheads, scaling, threads)
