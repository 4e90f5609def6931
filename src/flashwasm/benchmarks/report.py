"""Tables of results, for the terminal and as Markdown."""

from __future__ import annotations

import math
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.processor import kind_of, this_processor
from flashwasm.host.engine import wasmtime_version
from flashwasm.host.modules import VARIANTS, module_sha256
from flashwasm.summaries import counted
from flashwasm.text_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flashwasm.benchmarks.lengths import Length
    from flashwasm.benchmarks.measurement import Result

    Rows = list[tuple[str, ...]]

OPERATION_HEADINGS = (
    "operation",
    "size",
    "median",
    "best",
    "rate",
    "with copies",
    "copying",
    "over NumPy",
    "over scalar",
    "over one read",
    "error",
)
LENGTH_HEADINGS = (
    "length",
    "mask",
    "flash",
    "rate",
    "stored scores",
    "over stored",
    "over scalar",
    "memory beyond operands",
    "with stored scores",
)
# A time below this many of a unit is shown in the next smaller unit. 0.9995 is shown as 1.
_LEAST_OF_A_UNIT = 0.9995
# Columns of words are aligned to the left, columns of numbers to the right.
_TEXT = {
    "operation",
    "size",
    "peer",
    "version",
    "what is run",
    "case",
    "library",
    "note",
    "what",
    "figure",
    "status",
    "mask",
    "step",
    "by",
    "feedback",
    "collection",
    "metric",
    "tests that changed",
    "verdict",
    "workload",
    "strategy",
    "heads x length x dim",
    "data",
    "index",
}
# Columns of text that may be wrapped at spaces: all except names that a reader would copy.
_PROSE = _TEXT - {"tests that changed", "heads x length x dim"}


def duration(seconds: float, quartiles: tuple[float, float] | None = None) -> str:
    """Return a time with three digits and its unit.

    Parameters
    ----------
    seconds : float
        The time.
    quartiles : (float, float), optional
        Quartiles of the measurements in seconds, which follow in parentheses.

    Examples
    --------
    >>> duration(0.0123, (0.0119, 0.0131))
    '12.3 ms (11.9-13.1)'
    """
    units = {"s": 1.0, "ms": 1e3, "µs": 1e6}
    unit = next((u for u, factor in units.items() if seconds * factor >= _LEAST_OF_A_UNIT), "µs")
    number = seconds * units[unit]
    # A clock does not resolve single nanoseconds.
    text = f"{number:.2f} {unit}" if number < _LEAST_OF_A_UNIT else f"{_digits(number)} {unit}"
    if quartiles is None:
        return text
    low, high = (_digits(value * units[unit]) for value in quartiles)
    return f"{text} ({low}-{high})"


def milliseconds(value: float | None, quartiles: tuple[float, float] | None = None) -> str:
    """Return a number of milliseconds with its quartiles, without the unit; a dash for None."""
    if value is None:
        return "-"
    if quartiles is None:
        return _digits(value)
    return f"{_digits(value)} ({'-'.join(map(_digits, quartiles))})"


def _digits(value: float) -> str:
    """Return a positive number with three significant digits, or all digits before the point."""
    return f"{value:.0f}" if value >= 1000 * _LEAST_OF_A_UNIT else f"{value:.3g}"


def result_row(result: Result) -> tuple[str, ...]:
    """Return the cells of one case, in the order of `OPERATION_HEADINGS`."""
    return (
        result.operation,
        result.size,
        duration(result.median, result.quartiles.get("median")),
        duration(result.best),
        f"{result.rate:.1f} {result.unit}",
        duration(result.with_copies, result.quartiles.get("with_copies")),
        f"{result.copy_share:.0%}",
        f"{result.speedup_over_numpy:.2f}x",
        f"{result.speedup_over_scalar:.1f}x",
        f"{result.one_read / result.best:.2f}x" if result.one_read else "",
        f"{result.error:.1e}",
    )


def length_row(found: Length) -> tuple[str, ...]:
    """Return the cells of attention at one length, in the order of `LENGTH_HEADINGS`."""
    return (
        str(found.length),
        "causal" if found.causal else "full",
        duration(found.flash, found.quartiles.get("flash")),
        f"{found.rate:.1f} GFLOP/s",
        duration(found.materialized, found.quartiles.get("materialized")),
        f"{found.materialized / found.flash:.2f}x",
        "" if math.isnan(found.scalar) else f"{found.scalar / found.flash:.1f}x",
        f"{found.flash_bytes / 1e6:.2f} MB",
        f"{found.materialized_bytes / 1e6:.2f} MB",
    )


def terminal_table(title: str, headings: Sequence[str], rows: Rows) -> TextTable:
    """Return rows as a table for the terminal."""
    right = [heading for heading in headings if heading not in _TEXT]
    return TextTable(headings, rows, title=title, right=right, prose=_PROSE)


def markdown_table(title: str, headings: Sequence[str], rows: Rows) -> str:
    """Return rows as a Markdown table under a heading."""
    everything = [tuple(headings), ("---",) * len(headings), *rows]
    lines = ["| " + " | ".join(row) + " |" for row in everything]
    return "\n".join([f"## {title}", "", *lines, ""])


def operations_markdown(results: Sequence[Result], title: str) -> str:
    """Return results as a Markdown table under a heading, and a list of the baselines."""
    baselines = sorted({f"* {r.operation}: {r.baseline}" for r in results})
    content = markdown_table(title, OPERATION_HEADINGS, [result_row(r) for r in results])
    return "\n".join([content, "NumPy baselines:", "", *baselines, ""])


def threads_title(facts: dict[str, Any]) -> str:
    """Return a title with the numbers of threads, on which figures depend most."""
    ours = counted(facts["threads"], "threads")
    return f"flashwasm, {ours}; NumPy's threads: {facts['numpy_threads']}"


def machine(threads: int, numpy_threads: str) -> dict[str, Any]:
    """Return the facts of this machine and its software on which figures depend.

    Parameters
    ----------
    threads : int
        Number of threads of the measured runtimes.
    numpy_threads : str
        Number of threads that NumPy's BLAS was configured to use.
    """
    processor = this_processor()
    return {
        "processor": processor.name,
        "kind": kind_of(processor),
        "flags": processor.arithmetic,
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "wasmtime": wasmtime_version(),
        "kernels": module_sha256(VARIANTS[0])[:12],
        "threads": threads,
        "numpy_threads": numpy_threads,
    }
