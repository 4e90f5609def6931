"""Reports of benchmark results: a table for the terminal, Markdown and JSON."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from flashwasm.host.engine import wasmtime_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flashwasm.bench.runner import Result

    Rows = list[tuple[str, ...]]

HEADINGS = (
    *("operation", "size", "median", "best", "rate", "with copies", "copying"),
    *("over NumPy", "over scalar", "over one read", "error"),
)
# Columns of words; the others are numbers.
_TEXT = {
    *("operation", "size", "peer", "version", "what is run", "case", "library", "note"),
    *("what", "figure", "status", "mask", "step", "by", "feedback"),
    *("collection", "metric", "tests that changed"),
}


def duration(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.2f} µs"


def cells(result: Result) -> tuple[str, ...]:
    """Return a result as text, one cell a heading."""
    return (
        result.operation,
        result.size,
        duration(result.median),
        duration(result.best),
        f"{result.rate:.1f} {result.unit}",
        duration(result.with_copies),
        f"{result.copy_share:.0%}",
        f"{result.speedup_over_numpy:.2f}x",
        f"{result.speedup_over_scalar:.1f}x",
        f"{result.one_read / result.best:.2f}x" if result.one_read else "",
        f"{result.error:.1e}",
    )


def terminal_table(title: str, headings: Sequence[str], rows: Rows) -> Table:
    """Return rows as a table for the terminal."""
    content = Table(title=title, title_justify="left")
    for heading in headings:
        content.add_column(heading, justify="left" if heading in _TEXT else "right")
    for row in rows:
        content.add_row(*row)
    return content


def markdown_table(title: str, headings: Sequence[str], rows: Rows) -> str:
    """Return rows as a Markdown table under a heading."""
    everything = [tuple(headings), ("---",) * len(headings), *rows]
    lines = ["| " + " | ".join(row) + " |" for row in everything]
    return "\n".join([f"## {title}", "", *lines, ""])


def markdown(results: Sequence[Result], title: str) -> str:
    """Return results as a Markdown table under a heading, with what the baselines are."""
    baselines = sorted({f"* {r.operation}: {r.baseline}" for r in results})
    content = markdown_table(title, HEADINGS, [cells(result) for result in results])
    return "\n".join([content, "NumPy baselines:", "", *baselines, ""])


def threads_title(facts: dict[str, Any]) -> str:
    """Return a title of what `machine` says, with what figures depend on most."""
    return f"flashwasm, {facts['threads']} thread(s); NumPy's threads: {facts['numpy_threads']}"


def machine(threads: int, numpy_threads: str) -> dict[str, Any]:
    """Return what figures depend on besides the code."""
    return {
        "processor": platform.processor() or platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "wasmtime": wasmtime_version(),
        "threads": threads,
        "numpy_threads": numpy_threads,
    }
