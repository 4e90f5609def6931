"""The reason why no test runs some lines: they hold no code, ran at import only, or are a gap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.coverage.code_lines import code_lines
from flashwasm.qe.coverage.line_ranges import format_lines
from flashwasm.qe.coverage.unmeasured_sources import source_path
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex

__all__ = ["why_no_test"]


def why_no_test(index: CoverageIndex, place: str, file: str, lines: Sequence[int]) -> str:
    """Return a sentence about lines that no test runs.

    Parameters
    ----------
    index : CoverageIndex
        Coverage of the tests.
    place : str
        The file and its lines, as the user typed them.
    file : str
        Path of the file.
    lines : sequence of int
        Numbers of the lines.
    """
    with_code = code_lines(_source(index, file))
    if with_code and not set(with_code).intersection(lines):
        above = [line for line in with_code if line < min(lines)][-1:]
        below = [line for line in with_code if line > max(lines)][:1]
        near = [f"line {line} ({_run_by(index, file, line)})" for line in (*above, *below)]
        return f"{place} holds no code; the nearest code is in {' and '.join(near)}"
    at_import = sorted(index.lines_outside_tests(file)[0].intersection(lines))
    why = f", but {format_lines(at_import)} ran outside of tests, as at import"
    return f"no test runs {place}{why if at_import else ''}"


def _source(index: CoverageIndex, file: str) -> Path:
    """Return the path of a measured file: the one in the database, or else the one typed."""
    recorded = source_path(index.files[index.find_file(file)], Path.cwd())
    return recorded if recorded.is_file() else Path(file)


def _run_by(index: CoverageIndex, file: str, line: int) -> str:
    """Return in words which tests run a line."""
    tests = list(index.who(file, [line]))
    if not tests and line in index.lines_outside_tests(file)[0]:
        return "run outside of tests, as at import"
    others = f" and {counted(len(tests) - 1, 'other tests')}" if len(tests) > 1 else ""
    return f"run by {tests[0]}{others}" if tests else "run by no test"
