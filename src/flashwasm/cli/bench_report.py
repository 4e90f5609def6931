"""The measurements of `flashwasm bench`, and their report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from flashwasm.benchmarks.lengths import Length
from flashwasm.benchmarks.measurement import Result
from flashwasm.benchmarks.records import record_of
from flashwasm.benchmarks.report import (
    LENGTH_HEADINGS,
    OPERATION_HEADINGS,
    length_row,
    markdown_table,
    milliseconds,
    operations_markdown,
    result_row,
    terminal_table,
    threads_title,
)
from flashwasm.qe import MeasuredOperation, WorkloadBenchmark
from flashwasm.qe.workloads.strategies import StrategyResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from flashwasm.benchmarks.report import Rows

    Section = tuple[str, Sequence[str], Rows]

__all__ = ["INNER", "SPREAD_NOTE", "Findings"]

# The line printed below tables of times.
SPREAD_NOTE = "in parentheses: the first and the third quartile of the calls' times"
_ATTENTION_HEADINGS = (
    "workload",
    "heads x length x dim",
    "stored scores, ms",
    "flash, ms",
    "speed-up",
    "target",
    "memory saved",
    "verdict",
)
_OPERATION_HEADINGS = ("operation", "warm, ms", "cold, ms", "NumPy, ms", "target, ms", "verdict")
_STRATEGY_HEADINGS = (
    "strategy",
    "one call, ms",
    "a batch of 8, ms",
    "32 of length 64, ms",
    "peak memory, MB",
)
# Class of the elements of each field that is a list of dataclasses, by class and field name.
INNER: dict[tuple[type, str], type] = {(WorkloadBenchmark, "operations"): MeasuredOperation}
# Class of the records in each list of `Findings`.
_LISTS = {
    "results": Result,
    "lengths": Length,
    "workloads": WorkloadBenchmark,
    "strategies": StrategyResult,
}


@dataclass
class Findings:
    """Everything that a run measured.

    Attributes
    ----------
    facts : dict
        Machine, versions and numbers of threads.
    results : list of Result
        Results of the operations.
    lengths : list of Length
        Results of attention at each length.
    workloads : list of WorkloadBenchmark
        Results of the quality-engineering workloads.
    strategies : list of StrategyResult
        Results of the strategies that the workloads choose from.
    """

    command: ClassVar[str] = "flashwasm bench"

    facts: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    lengths: list[Length] = field(default_factory=list)
    workloads: list[WorkloadBenchmark] = field(default_factory=list)
    strategies: list[StrategyResult] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return all findings for JSON, with None instead of NaN, which JSON does not support."""
        plain: dict[str, Any] = without_nan(self._document())
        return plain

    def _document(self) -> dict[str, Any]:
        """Return all findings by name."""
        document: dict[str, Any] = {"machine": self.facts}
        if self.results:
            document["results"] = [found.as_dict() for found in self.results]
        if self.lengths:
            document["lengths"] = [asdict(found) for found in self.lengths]
        if self.workloads:
            document["workloads"] = [found.as_dict() for found in self.workloads]
        if self.strategies:
            document["strategies"] = [found.as_dict() for found in self.strategies]
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Return the findings from a document that `as_dict` returned."""
        return cls(document["machine"], **cls.lists_of(document))

    @classmethod
    def lists_of(cls, document: dict[str, Any]) -> dict[str, list[Any]]:
        """Return the fields that are lists, by name, from a document."""
        return {
            name: [record_of(kind, found, INNER) for found in document.get(name, ())]
            for name, kind in _LISTS.items()
        }

    def add(self, part: Findings) -> None:
        """Add the findings of a part of the run."""
        for one in fields(part):
            own, more = getattr(self, one.name), getattr(part, one.name)
            if isinstance(own, list):
                own.extend(more)
            elif isinstance(own, dict):
                own.update(more)
            elif more:
                setattr(self, one.name, more)

    @property
    def missed(self) -> bool:
        """True if a target was missed."""
        return any(not found.meets_target for found in self.workloads)

    def tables(self) -> list[Any]:
        """Return the tables for the terminal."""
        tables = [terminal_table(*section) for section in self.sections()]
        if self.results:
            rows = [result_row(result) for result in self.results]
            title = threads_title(self.facts)
            tables.insert(0, terminal_table(title, OPERATION_HEADINGS, rows))
        return tables

    def markdown(self) -> str:
        """Return the report as Markdown."""
        parts = []
        if self.results:
            parts.append(operations_markdown(self.results, threads_title(self.facts)))
        sections = self.sections()
        if sections:
            notes = "\n".join(f"* {note}" for note in self.notes())
            parts.insert(0, f"# Figures of `{self.command}`\n\n{notes}\n")
        parts += [markdown_table(*section) for section in sections]
        return "\n".join(parts)

    def sections(self) -> list[Section]:
        """Return the title, headings and rows of each table except the table of operations."""
        found: list[Section] = []
        if self.lengths:
            rows = [length_row(length) for length in self.lengths]
            found.append(("Attention against its length, one thread", LENGTH_HEADINGS, rows))
        if self.workloads:
            rows = _attention_rows(self.workloads)
            found.append(("Workloads: attention", _ATTENTION_HEADINGS, rows))
            rows = _operation_rows(self.workloads)
            found.append(("Workloads: operations, from Python", _OPERATION_HEADINGS, rows))
            rows = _strategy_rows(self.strategies)
            found.append(
                ("Strategies: attention, 8 heads of 64, length 512", _STRATEGY_HEADINGS, rows)
            )
        return found

    def notes(self) -> list[str]:
        """Return the lines for facts that the tables do not show."""
        return [*(f"{name}: {value}" for name, value in self.facts.items()), SPREAD_NOTE]


def without_nan(value: Any) -> Any:
    """Return a copy of a document with None instead of each NaN."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _attention_rows(found: Sequence[WorkloadBenchmark]) -> Rows:
    """Return a row for the attention of each workload."""
    return [
        (
            one.workload,
            one.shape,
            milliseconds(one.baseline_ms, one.quartiles.get("baseline_ms")),
            milliseconds(one.flash_ms, one.quartiles.get("flash_ms")),
            f"{one.speedup:.2f}",
            f"{one.target_speedup:.2f}",
            f"{one.memory_reduction:.0%}",
            _verdict(met=one.meets_speedup),
        )
        for one in found
    ]


def _operation_rows(found: Sequence[WorkloadBenchmark]) -> Rows:
    """Return a row for each operation. The verdict of one that was not measured is the reason."""
    return [
        (
            one.name,
            milliseconds(one.warm_ms, one.quartiles.get("warm_ms")),
            milliseconds(one.cold_ms, one.quartiles.get("cold_ms")),
            milliseconds(one.numpy_ms, one.quartiles.get("numpy_ms")),
            f"{one.target_ms:g}",
            f"not measured: {one.missing}" if one.missing else _verdict(met=one.meets_target),
        )
        for workload in found
        for one in workload.operations
    ]


def _strategy_rows(found: Sequence[StrategyResult]) -> Rows:
    """Return a row for each strategy."""
    return [
        (
            one.strategy,
            milliseconds(one.call_ms, one.quartiles.get("call_ms")),
            milliseconds(one.batch_ms, one.quartiles.get("batch_ms")),
            milliseconds(one.short_ms, one.quartiles.get("short_ms")),
            f"{one.peak_memory_mb:.1f}",
        )
        for one in found
    ]


def _verdict(*, met: bool) -> str:
    """Return the word for a target that was met or missed."""
    return "met" if met else "missed"
