"""Paths that a conftest.py excludes from a suite, read from its source."""

from __future__ import annotations

import ast
import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flashwasm.qe.suites.expressions import dotted_name
from flashwasm.qe.suites.source_files import Skipped
from flashwasm.qe.suites.static_conditions import truth
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    PARSE_ERRORS,
    assignment_targets,
    parse_source,
)

__all__ = ["ConftestRules", "read_conftest"]

# Hooks by which a conftest.py can change the tests that are collected.
_HOOKS = {
    "pytest_collect_directory",
    "pytest_collect_file",
    "pytest_ignore_collect",
    "pytest_pycollect_makeitem",
    "pytest_pycollect_makemodule",
}
_LISTS = ("collect_ignore", "collect_ignore_glob")


@dataclass
class ConftestRules:
    """Paths that a conftest.py excludes.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the file.
    lists : dict of str to list of str
        Values of ``collect_ignore`` and ``collect_ignore_glob``, where they are set.
    skipped : list of Skipped
        Parts of the file that only running it would resolve.
    """

    folder: Path
    lists: dict[str, list[str]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def ignores(self, path: Path) -> bool:
        """Return True if the lists exclude a path."""
        exact, patterns = (
            [os.path.abspath(self.folder / one) for one in self.lists.get(name, ())]  # noqa: PTH100 - resolve() would follow links.
            for name in _LISTS
        )
        return str(path) in exact or any(fnmatch.fnmatch(str(path), one) for one in patterns)

    def within(self, outer: ConftestRules) -> ConftestRules:
        """Return the rules for this folder, given those of its parent folder.

        For each list, only the nearest conftest.py that sets it applies.
        """
        resolved = {
            name: [str(outer.folder / one) for one in values]
            for name, values in outer.lists.items()
            if name not in self.lists
        }
        return ConftestRules(self.folder, {**resolved, **self.lists}, self.skipped)


def read_conftest(file: Path) -> ConftestRules:
    """Return the rules of a conftest.py; no rules if it is missing or unreadable."""
    rules = ConftestRules(file.parent)
    try:
        tree = parse_source(file.read_bytes())
    except FileNotFoundError:
        return rules
    except (OSError, *PARSE_ERRORS) as error:
        rules.skipped.append(Skipped(file, f"not read: {' '.join(str(error).split())}"))
        return rules
    unsure: set[str] = set()
    for node, sure in _statements(tree.body, sure=True):
        if isinstance(node, FUNCTION_NODES) and node.name in _HOOKS:
            reason = f"line {node.lineno}: {node.name} may change which tests are collected"
            rules.skipped.append(Skipped(file, reason))
        for name, replaces, values in _changes(node):
            known = [value for one in values if (value := _text(one)) is not None]
            if (not sure or len(known) < len(values)) and name not in unsure:
                unsure.add(name)
                reason = f"line {node.lineno}: the full value of {name} is known only at run time"
                rules.skipped.append(Skipped(file, reason))
            if sure:
                rules.lists[name] = [*(() if replaces else rules.lists.get(name, ())), *known]
    return rules


def _statements(body: Sequence[ast.stmt], *, sure: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield the statements of a module, each with True if it runs unconditionally."""
    for node in body:
        yield node, sure
        if isinstance(node, ast.If):
            holds = truth(node.test)
            if holds is not False:
                yield from _statements(node.body, sure=sure and holds is True)
            if holds is not True:
                yield from _statements(node.orelse, sure=sure and holds is False)
        elif not isinstance(node, DEFINITION_NODES):
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body, sure=False)
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, name, []), sure=False)


def _changes(node: ast.stmt) -> Iterator[tuple[str, bool, list[ast.expr]]]:
    """Yield the lists that a statement changes, with a flag for replacement, and the values."""
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
        replaces = not isinstance(node, ast.AugAssign)
        for target in assignment_targets(node):
            if (name := dotted_name(target)) in _LISTS:
                yield name, replaces, _elements(node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        name, _, method = dotted_name(node.value.func).partition(".")
        if name in _LISTS and node.value.args:
            first = node.value.args[-1]
            yield name, False, _elements(first) if method == "extend" else [first]


def _elements(node: ast.expr) -> list[ast.expr]:
    """Return the elements of a literal list, or any other expression as a single element."""
    return node.elts if isinstance(node, (ast.List, ast.Tuple, ast.Set)) else [node]


def _text(node: ast.expr) -> str | None:
    """Return the text of an element; None if it is not a literal."""
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else None
