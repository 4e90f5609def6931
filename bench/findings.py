"""All results of a run of `python -m bench`, and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bench.machine import PEAK_IS
from bench.peers import tables
from bench.peers.runner import Measurement, Row
from bench.peers.table import Presence
from bench.scaling import Scaling
from bench.search.runner import SEARCH_HEADINGS, SearchResult, search_cells
from bench.smallest import Overheads
from bench.targets import Target, Verdict
from flashwasm.benchmarks.records import record_of
from flashwasm.cli.bench_report import INNER, Findings

if TYPE_CHECKING:
    from flashwasm.cli.bench_report import Section

_RATES = ("peak_flops", "read_bytes_per_second")
# The dataclasses that are fields of others, as in `flashwasm.cli.bench_report`.
_INNER = INNER | {(Measurement, "rows"): Row, (Verdict, "target"): Target}

T = TypeVar("T")


@dataclass
class Comparison(Findings):
    """The findings of `flashwasm bench`, and comparisons with other libraries.

    Attributes
    ----------
    searches : list of SearchResult
        Searches of vectors.
    absent : list of str
        One line for each library for searches that is not installed.
    presences : list of Presence
        Libraries for operations, with the version of each that is installed.
    measurements : list of Measurement
        Operations, each with all libraries.
    verdicts : list of Verdict
        Targets, and whether they were met.
    encoder : str
        The reason why the encoder was not measured; empty if it was measured or not requested.
    overheads : list of Overheads
        Times that do not grow with the work: one, if they were measured.
    scaling : dict of str to Scaling
        Gain of a second thread, by the name of the case.
    """

    command: ClassVar[str] = "python -m bench"

    searches: list[SearchResult] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    encoder: str = ""
    overheads: list[Overheads] = field(default_factory=list)
    scaling: dict[str, Scaling] = field(default_factory=dict)

    def _document(self) -> dict[str, Any]:
        """Return all results by name."""
        document = super()._document()
        if self.searches:
            document["search"] = [found.as_dict() for found in self.searches]
            document["absent"] = self.absent
        if self.measurements:
            document["peers"] = [asdict(p) for p in self.presences]
            document["measurements"] = [asdict(m) for m in self.measurements]
        if self.measurements or self.encoder:
            document["encoder_not_measured"] = self.encoder
        if self.overheads:
            document["overheads"] = [asdict(found) for found in self.overheads]
        if self.scaling:
            document["two_threads"] = {name: asdict(one) for name, one in self.scaling.items()}
        if self.verdicts:
            document["targets"] = [asdict(v) for v in self.verdicts]
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Comparison:
        """Return the findings of a document that `as_dict` returned."""

        def listed(name: str, kind: type[T]) -> list[T]:
            return [record_of(kind, found, _INNER) for found in document.get(name, ())]

        return cls(
            document["machine"],
            **cls.lists_of(document),
            searches=listed("search", SearchResult),
            absent=document.get("absent", []),
            presences=listed("peers", Presence),
            measurements=listed("measurements", Measurement),
            verdicts=listed("targets", Verdict),
            encoder=document.get("encoder_not_measured", ""),
            overheads=listed("overheads", Overheads),
            scaling={
                name: record_of(Scaling, found)
                for name, found in document.get("two_threads", {}).items()
            },
        )

    @property
    def missed(self) -> bool:
        """True if a target was missed."""
        return super().missed or any(verdict.status == "missed" for verdict in self.verdicts)

    def sections(self) -> list[Section]:
        """Return title, headings and rows of each table except that of the operations."""
        found: list[Section] = []
        if self.searches:
            rows = [search_cells(found) for found in self.searches]
            found.append(("Search, one thread a query", SEARCH_HEADINGS, rows))
        if self.measurements:
            here, cases = self.presences, self.measurements
            found.append(("Peers", tables.PEERS, tables.peer_rows(here)))
            found.append(("Cases", tables.CASES, tables.case_rows(cases, here)))
        if self.verdicts:
            found.append(("Targets", tables.TARGETS, tables.target_rows(self.verdicts)))
        return [*super().sections(), *found]

    def notes(self) -> list[str]:
        """Return one line for each fact that the tables do not show."""
        lines = [f"{name}: {value}" for name, value in self.facts.items() if name not in _RATES]
        if self.measurements:
            peak, read = (self.facts[name] / 1e9 for name in _RATES)
            lines.append(f"peak: {peak:.1f} GFLOP/s, {PEAK_IS}")
            lines.append(f"memory: {read:.1f} GB/s read by one thread")
        lines += self.absent
        if self.encoder:
            lines.append(f"the encoder was not measured: {self.encoder}")
        return lines
