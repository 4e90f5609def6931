"""Data for the charts of a benchmark, from its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flashwasm.errors import ShapeError

__all__ = ["BenchmarkChart", "benchmark_charts"]

_OPERATION_HEADINGS = (
    "operation",
    "size",
    "flashwasm, ms",
    "with copies, ms",
    "NumPy, ms",
    "speed, NumPy = 1",
    "speed, no SIMD = 1",
)


class BenchmarkChart(NamedTuple):
    """A chart, and a table with the same figures.

    Parameters
    ----------
    kind : {"bars", "lines"}
        Kind of chart.
    heading : str
        Heading, which names the measurement.
    data : mapping
        Data that ``scripts/charts.js`` draws.
    headings : sequence of str
        Headings of the table.
    rows : sequence of sequence of str
        Rows of the table.
    reading : str
        Sentence that says how to read the chart.
    words : int, default 1
        Number of columns, from the first on, that are words. The others are numbers.
    """

    kind: str
    heading: str
    data: Mapping[str, Any]
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    reading: str
    words: int = 1


def benchmark_charts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the charts of a benchmark, and facts about the machine.

    Parameters
    ----------
    document : mapping
        Document that ``flashwasm bench --json`` writes.

    Raises
    ------
    ShapeError
        If the document contains no results for a chart.
    """
    try:
        charts = [
            *([_operations(document["results"])] if document.get("results") else []),
            *(_lengths(document["lengths"]) if document.get("lengths") else []),
            *([_workloads(document["workloads"])] if document.get("workloads") else []),
        ]
        machine = {str(name): str(value) for name, value in document["machine"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        message = f"expected the JSON of `flashwasm bench --json`, but it lacks {error}"
        raise ShapeError(message) from error
    if not charts:
        raise ShapeError(
            "the benchmark contains no operations, lengths of attention or workloads; "
            "expected the JSON of `flashwasm bench --json`"
        )
    return {"machine": machine, "charts": charts}


def _operations(results: Sequence[Mapping[str, Any]]) -> BenchmarkChart:
    """Return bars for the operations' speed relative to NumPy, the fastest first."""
    ordered = sorted(results, key=lambda found: -found["speedup_over_numpy"])
    data = {
        "unit": "times the speed of NumPy",
        "equal": 1,
        "labels": [(found["operation"], found["size"]) for found in ordered],
        "series": [
            {
                "name": "on arrays that lie in the sandbox",
                "values": [found["speedup_over_numpy"] for found in ordered],
            },
            {
                "name": "with copies into the sandbox and out",
                "values": [found["numpy"] / found["with_copies"] for found in ordered],
            },
        ],
    }
    rows = [
        (
            found["operation"],
            found["size"],
            _milliseconds(found["best"]),
            _milliseconds(found["with_copies"]),
            _milliseconds(found["numpy"]),
            _times(found["speedup_over_numpy"]),
            _times(found["speedup_over_scalar"]),
        )
        for found in ordered
    ]
    heading = "Operations, compared with NumPy"
    reading = "A bar that ends to the right of the dashed line is faster than NumPy."
    return BenchmarkChart("bars", heading, data, _OPERATION_HEADINGS, rows, reading, words=2)


def _lengths(lengths: Sequence[Mapping[str, Any]]) -> list[BenchmarkChart]:
    """Return lines for the time of attention at each length, without a mask and causal."""
    names = {
        "flash": "flash attention",
        "materialized": "attention that stores all scores",
        "scalar": "flash attention without SIMD",
    }
    charts = []
    for causal in (False, True):
        own = [found for found in lengths if found["causal"] is causal]
        if not own:
            continue
        series = [
            {"name": shown, "points": [(one["length"], one[name] * 1e3) for one in measured]}
            for name, shown in names.items()
            if (measured := [one for one in own if _is_number(one[name])])
        ]
        rows = [
            (f"{one['length']:,}", *(_milliseconds(one[name]) for name in names)) for one in own
        ]
        kind = "Causal attention" if causal else "Attention without a mask"
        heading = f"{kind}: time for each sequence length"
        data = {"x": "sequence length", "unit": "milliseconds a call", "series": series}
        headings = ("length", *(f"{shown}, ms" for shown in names.values()))
        reading = "The lower line is faster. Both axes are logarithmic."
        charts.append(BenchmarkChart("lines", heading, data, headings, rows, reading))
    return charts


def _workloads(workloads: Sequence[Mapping[str, Any]]) -> BenchmarkChart:
    """Return bars for each workload's attention and for attention that stores its scores."""
    names = {"flash_ms": "flash attention", "baseline_ms": "attention that stores all scores"}
    data = {
        "unit": "milliseconds a call",
        "labels": [(found["workload"], found["shape"]) for found in workloads],
        "series": [
            {"name": shown, "values": [found[name] for found in workloads]}
            for name, shown in names.items()
        ],
    }
    rows = [
        (
            found["workload"],
            found["shape"],
            *(_three_digits(found[name]) for name in names),
            _times(found["speedup"]),
            _met(found["target_speedup"], ok=found["speedup"] >= found["target_speedup"]),
            _three_digits(found["latency_ms"]),
            _met(found["target_latency_ms"], ok=found["latency_ms"] <= found["target_latency_ms"]),
        )
        for found in workloads
    ]
    headings = ("workload", "heads x length x dim", *(f"{shown}, ms" for shown in names.values()))
    headings = (*headings, "speed-up", "target", "first operation, ms", "target, ms")
    heading, reading = "Attention of the workloads", "The shorter bar is faster."
    return BenchmarkChart("bars", heading, data, headings, rows, reading, words=2)


def _is_number(value: Any) -> bool:
    """Return True if a time was measured, so that it is neither None nor NaN."""
    return value is not None and not math.isnan(value)


def _times(ratio: float) -> str:
    """Return a ratio of speeds, such as "2.49x"."""
    return f"{ratio:.2f}x"


def _met(target: float, *, ok: bool) -> str:
    """Return a target with three digits, and the word "met" or "missed"."""
    return f"{_three_digits(target)}, {'met' if ok else 'missed'}"


def _milliseconds(seconds: float | None) -> str:
    """Return a time in milliseconds with three digits, or a dash if it was not measured."""
    return _three_digits(seconds * 1e3) if seconds is not None and _is_number(seconds) else "-"


def _three_digits(number: float) -> str:
    """Return a number with three digits, and all of those before its point."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
