"""The suites of `python -m bench`: the measurements that each makes, one after another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.findings import Comparison
from bench.machine import peak_rate, read_rate
from bench.peers.cases import NUMPY_CASES, PEER_CASES, QUICK_CASES
from bench.peers.encoding import run_encoder
from bench.peers.runner import EFFORT, QUICK_EFFORT, run_peers
from bench.peers.table import PEERS, presences
from bench.scaling import SCALED, two_threads
from bench.search import runner as search_runner
from bench.search.cases import SEARCH_CASES, stored
from bench.search.peers import versions
from bench.search.runner import absent, run_search
from bench.search.targets import judge_searches
from bench.smallest import measure_overheads
from bench.targets import judge
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.benchmarks.report import machine
from flashwasm.cli.bench_steps import Step, own_steps, run_steps
from flashwasm.encoder.installed_models import fingerprint, locate
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.peers.peer import Peer
    from bench.search.cases import SearchCase
    from flashwasm.benchmarks.case import Case
    from flashwasm.benchmarks.run_log import RunLog


@dataclass(frozen=True)
class Request:
    """The requested measurements.

    Attributes
    ----------
    suite : {"peers", "search", "all"}
        Name of the command.
    operations : tuple of str
        Operations to measure; all if it is empty.
    threads : int
        Threads for each library that can have threads.
    numpy_threads : str
        Number of threads that NumPy's BLAS was set to.
    vectors : int
        Number of vectors to search.
    embeddings : pathlib.Path or None
        File of vectors to search instead of embedded docstrings.
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
        """Return True if a suite was requested, alone or with all others."""
        return self.suite in {suite, "all"}

    @property
    def peer_cases(self) -> list[Case]:
        """Cases to compare with other libraries."""
        cases = QUICK_CASES if self.quick else PEER_CASES
        return [case for case in cases if self._wants(case)]

    @property
    def numpy_cases(self) -> list[Case]:
        """Cases to compare with NumPy only."""
        return [c for c in NUMPY_CASES if not self.quick and self._wants(c)]

    def _wants(self, case: Case) -> bool:
        """Return True if the operation of a case was requested."""
        return not self.operations or case.operation in self.operations

    @property
    def also_overheads(self) -> bool:
        """True if the run also measures the encoder, two threads and the overheads."""
        return not (self.operations or self.quick)


def known_operations(suite: str) -> set[str]:
    """Return the names that ``--op`` may choose from."""
    compared = (*PEER_CASES, *NUMPY_CASES)
    cases: Sequence[Case] = compared if suite == "peers" else (*CASES, *compared)
    return {case.operation for case in cases}


@dataclass(frozen=True)
class Plan:
    """A run that is ready to begin.

    Attributes
    ----------
    found : Comparison
        Findings of the run. So far they contain the facts of the machine and the libraries.
    steps : list of Step
        Measurements to make, in their order.
    settings : dict
        All settings that affect the results, for the run's log.
    notes : list of str
        One line for each measurement that will be left out, with a remedy.
    """

    found: Comparison
    steps: list[Step]
    settings: dict[str, Any]
    notes: list[str]


def plan(request: Request) -> Plan:
    """Inspect the machine and the libraries, and return the requested run.

    Parameters
    ----------
    request : Request
        The measurements to make.
    """
    found = Comparison(machine(request.threads, request.numpy_threads))
    steps: list[Step] = []
    notes: list[str] = []
    settings: dict[str, Any] = {**found.facts, "command": request.suite}
    settings |= {"--op": list(request.operations), "--quick": request.quick}
    if hasattr(os, "getloadavg"):
        found.facts["load_before"] = f"{os.getloadavg()[0]:.1f}"
    if request.suite == "all":
        steps += own_steps("all", request.operations, request.threads, quick=request.quick)
    if request.has("search"):
        # This raises an error for an unusable file before anything is measured.
        steps += _search_steps(request)
        found.absent = absent(SEARCH_CASES)
        notes += found.absent
        settings |= {"--vectors": request.vectors, "--embeddings": str(request.embeddings or "")}
        settings |= {f"version of {name}": version for name, version in versions().items()}
    if request.has("peers"):
        found.presences = presences(PEERS, request.threads)
        notes += [f"{p.name} is left out: {p.missing}" for p in found.presences if p.missing]
        settings |= {f"version of {p.name}": p.version for p in found.presences}
        if request.also_overheads:
            try:
                settings["model"] = fingerprint(locate())
            except CapabilityError as error:
                found.encoder = str(error)
                notes.append(f"the encoder will not be measured: {error}")
        steps += _peer_steps(request, found)
    return Plan(found, steps, settings, notes)


def _search_steps(request: Request) -> list[Step]:
    """Return a step for each case of the searches."""
    cases = list(SEARCH_CASES)
    if request.embeddings is not None:
        cases[-1] = stored(request.embeddings)
    effort = search_runner.QUICK_EFFORT if request.quick else search_runner.EFFORT

    def measured(case: SearchCase) -> Comparison:
        results = run_search(case, request.vectors, request.threads, effort)
        return Comparison({}, searches=list(results))

    return [Step(f"{case.operation}, {case.data}", partial(measured, case)) for case in cases]


def _peer_steps(request: Request, found: Comparison) -> list[Step]:
    """Return a step for each case that is compared with the libraries that are installed."""
    threads = request.threads
    missing = {p.name for p in found.presences if p.missing}
    here = [peer for peer in PEERS if peer.name not in missing]
    effort = QUICK_EFFORT if request.quick else EFFORT

    def rates() -> Comparison:
        return Comparison({"peak_flops": peak_rate(), "read_bytes_per_second": read_rate()})

    def compared(case: Case, peers: Sequence[Peer]) -> Comparison:
        return Comparison({}, measurements=list(run_peers([case], peers, threads, effort)))

    def encoder() -> Comparison:
        names = [peer.name for peer in here]
        return Comparison({}, measurements=[run_encoder(names, threads)])

    def scaled(case: Case) -> Comparison:
        gain = two_threads(case)
        return Comparison({}, scaling={} if gain is None else {case.name: gain})

    steps = [Step("rates of the machine", rates)]
    steps += [
        Step(f"{case.name}, beside other libraries", partial(compared, case, here))
        for case in request.peer_cases
    ]
    numpy = [peer for peer in PEERS if peer.name == "NumPy"]
    steps += [
        Step(f"{case.name}, beside NumPy alone", partial(compared, case, numpy))
        for case in request.numpy_cases
    ]
    if request.also_overheads:
        if not found.encoder:
            steps.append(Step("encoder", encoder))
        steps += [Step(f"{case.name}, two threads", partial(scaled, case)) for case in SCALED]
        steps.append(Step("overheads", lambda: Comparison({}, overheads=[measure_overheads()])))
    return steps


def run(
    ready: Plan, request: Request, log: RunLog | None, begin: Callable[[str], None]
) -> Comparison:
    """Make the measurements of a run, and judge them.

    Parameters
    ----------
    ready : Plan
        The run.
    request : Request
        The requested measurements.
    log : RunLog or None
        Log to which each result is written at once, if there is one.
    begin : callable
        Function that is called with the name of each step before it.

    Returns
    -------
    Comparison
    """
    found = ready.found
    run_steps(ready.steps, found, log, begin)
    # The targets are for the cases of a whole run.
    if request.has("search") and not request.quick:
        found.verdicts += judge_searches(found.searches)
    if request.has("peers") and not request.quick:
        overheads = next(iter(found.overheads), None)
        found.verdicts += judge(
            found.measurements, found.presences, overheads, found.scaling, request.threads
        )
    return found
