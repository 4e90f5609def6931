"""Gaps: untested statements of functions, with their risk and the nearest test."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType

from flashwasm.errors import ShapeError
from flashwasm.html_tables import html_table
from flashwasm.object_checks import instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.coverage.line_ranges import lines_in_words
from flashwasm.qe.coverage.unmeasured_sources import is_product, source_path
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    TRY_NODES,
    FunctionNode,
    is_literal,
    parse_file,
)
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import flag

__all__ = ["Gap", "find_gaps", "measured_file"]

_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, *TRY_NODES, ast.IfExp, ast.Match)


@dataclass(frozen=True)
class Gap:
    """Statements of a function that no test runs.

    Parameters
    ----------
    path : str
        Path of the file relative to the root folder.
    function : str
        Qualified name of the function.
    lines : list of int
        First lines of the statements.
    last_line : int
        Last line of the last statement, without the statements inside it.
    text : str
        Source of the statements, without comments and formatting.
    nearest_test : str or None
        Test that runs most of the function. If no test runs any of it, the test that runs the
        nearest lines of the file.
    nearest_lines : list of int
        Lines of the function or the file that this test runs.
    untested : bool
        True if no test runs any statement of the function.
    risk : float
        Product of the components.
    components : mapping of str to float
        Factors of the risk. ``uncovered`` is the share of the function's statements that no test
        runs, ``size`` the logarithm of 1 + their number, ``branches`` 1 + the number of branches
        among them.
    """

    path: str
    function: str
    lines: list[int]
    last_line: int
    text: str
    nearest_test: str | None
    nearest_lines: list[int]
    untested: bool
    risk: float
    components: Mapping[str, float]

    _repr_html_ = html_table

    def summary(self) -> str:
        """Return a sentence that describes the gap."""
        extend = f"; extend {self.nearest_test}" if self.nearest_test else ""
        return f"{self.function}: no test runs {lines_in_words(self.lines)}{extend}."


def find_gaps(
    index: CoverageIndex,
    root: Path,
    *,
    only: Mapping[str, Iterable[int]] | None = None,
    tests: bool = False,
    progress: bool = False,
) -> tuple[list[Gap], list[str]]:
    """Return the gaps, the riskiest first, and the files whose source cannot be read.

    Only files below the root are examined.

    Parameters
    ----------
    index : CoverageIndex
        Coverage of the tests.
    root : pathlib.Path
        Folder of the sources to examine. Relative paths in the database are relative to it.
    only : mapping of str to iterable of int, optional
        Lines to report by file, such as those that a diff adds. Paths are relative to ``root`` or
        to a folder above it. Files that coverage.py did not measure are ignored. None reports all
        lines.
    tests : bool, default False
        True to also report gaps in test files, in conftest.py, and in files of a folder ``test``,
        ``tests`` or ``testing`` below the root, which hold fixtures and helpers.
    progress : bool, default False
        True to show progress on stderr.

    Returns
    -------
    gaps : list of Gap
        The gaps.
    absent : list of str
        Paths of the files that cannot be read.

    Raises
    ------
    DTypeError
        If an argument is of the wrong type.
    ShapeError
        If ``only`` is None, and the database has no source to examine below the root.
    """
    instance_of(index, CoverageIndex, "index")
    root = checked_path(root, "root").resolve()
    instance_of(only, (Mapping, NoneType), "only")
    flag(tests, "tests")
    wanted = None if only is None else _lines_by_file(index, root, only)
    gaps: list[Gap] = []
    absent = []
    examined = False
    with progress_report("looking for gaps", show=flag(progress, "progress")) as advance:
        for position, path in enumerate(index.files):
            advance(position, len(index.files))
            lines = None if wanted is None else wanted.get(position, set())
            source = source_path(path, root)
            if not source.is_relative_to(root) or not (tests or is_product(source, root)):
                continue
            examined = True
            if lines is not None and not lines:
                continue
            if (tree := parse_file(source)) is None:
                absent.append(path)
                continue
            shown = str(source.relative_to(root))
            gaps += (replace(gap, path=shown) for gap in _gaps_of(index, path, tree, lines))
    if not examined and only is None:
        kinds = "sources" if tests else "sources other than tests"
        raise ShapeError(
            f"root: the coverage database has no {kinds} below {root}; expected the folder of the "
            "sources"
        )
    return sorted(gaps, key=lambda gap: (-gap.risk, gap.path, gap.lines)), absent


def measured_file(index: CoverageIndex, path: str, root: Path) -> int | None:
    """Return the position in the database of a file that a diff names.

    Return None if coverage.py did not measure the file, or if several files match.
    """
    try:
        return index.find_file(path, root)
    except ShapeError:
        return None


def _lines_by_file(
    index: CoverageIndex, root: Path, only: Mapping[str, Iterable[int]]
) -> dict[int, set[int]]:
    """Return the requested lines, by the position of their file in the database."""
    wanted: dict[int, set[int]] = {}
    for path, lines in only.items():
        position = measured_file(index, path, root)
        if position is not None:
            wanted.setdefault(position, set()).update(lines)
    return wanted


def _gaps_of(index: CoverageIndex, path: str, tree: ast.Module, only: set[int] | None) -> list[Gap]:
    """Return the gaps in one file; ``only`` are the requested lines, or None for all."""
    covered = index.tested(path)
    gaps = []
    for name, node in _functions(tree, ""):
        statements = list(_statements(node.body))
        missed = [s for s in statements if s.lineno not in covered]
        if only is not None:
            missed = [s for s in missed if only & set(range(s.lineno, _own_end(s) + 1))]
        if not missed:
            continue
        components = {
            "uncovered": len(missed) / len(statements),
            "size": math.log(1 + len(missed)),
            "branches": 1.0 + sum(isinstance(s, _BRANCHES) for s in missed),
        }
        nearest_test, nearest_lines = _nearest(index, path, node, covered)
        gaps.append(
            Gap(
                path=path,
                function=name,
                lines=sorted({s.lineno for s in missed}),
                last_line=max(_own_end(s) for s in missed),
                text="\n".join(source_of(s) for s in missed),
                nearest_test=nearest_test,
                nearest_lines=nearest_lines,
                untested=not any(s.lineno in covered for s in statements),
                risk=math.prod(components.values()),
                components=components,
            )
        )
    return gaps


def _functions(node: ast.AST, scope: str) -> Iterable[tuple[str, FunctionNode]]:
    """Yield the functions inside a node, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTION_NODES):
            yield f"{scope}{child.name}", child
        if isinstance(child, DEFINITION_NODES):
            yield from _functions(child, f"{scope}{child.name}.")
        else:
            yield from _functions(child, scope)


def _statements(body: list[ast.stmt]) -> Iterable[ast.stmt]:
    """Yield the statements that coverage.py counts, except those of inner functions."""
    for statement in body:
        # Docstrings and declarations are never executed, so coverage.py does not count them.
        if is_literal(statement) or isinstance(statement, (ast.Global, ast.Nonlocal)):
            continue
        yield statement
        if isinstance(statement, DEFINITION_NODES):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)
        for case in getattr(statement, "cases", []):
            yield from _statements(case.body)


def _own_end(statement: ast.stmt) -> int:
    """Return the last line of a statement, without the statements inside it."""
    inner = getattr(statement, "body", None)
    if isinstance(inner, list) and inner and isinstance(inner[0], ast.stmt):
        return max(statement.lineno, inner[0].lineno - 1)
    return statement.end_lineno or statement.lineno


def _nearest(
    index: CoverageIndex,
    path: str,
    node: FunctionNode,
    covered: set[int],
) -> tuple[str | None, list[int]]:
    """Return the test to extend for a function, and the lines that it runs."""
    inside = index.who(path, range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    if inside:
        return next(iter(inside.items()))
    if not covered:
        return None, []
    line = min(covered, key=lambda n: min(abs(n - node.lineno), abs(n - (node.end_lineno or n))))
    return min(index.who(path, [line]).items())
