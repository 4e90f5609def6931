"""Findings as SARIF 2.1.0, the format of code-scanning tools.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from flashwasm import __version__
from flashwasm.qe.suites.fingerprints import fingerprint, numbered

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.coverage.gaps import Gap
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["duplicates_sarif", "gaps_sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://pypi.org/project/flashwasm/"
# The fingerprint's name ends with a version. Increase it if the computation changes.
_FINGERPRINT = "flashwasm/v1"


class _Rule(NamedTuple):
    """A SARIF rule: its id, name, short and full description, and the level of its results."""

    id: str
    name: str
    short: str
    full: str
    level: str


_DUPLICATES = [
    _Rule(
        "identical-test",
        "IdenticalTest",
        "Tests with the same body",
        "The bodies are the same but for docstrings, comments and formatting, and their names mean "
        "the same. One of the tests can go.",
        "warning",
    ),
    _Rule(
        "identical-but-for-literals",
        "IdenticalButForLiterals",
        "Tests that differ in literals only",
        "The tests are the same with other values. One parametrised test could replace them.",
        "warning",
    ),
    _Rule(
        "same-coverage",
        "SameCoverage",
        "Tests that run the same lines and have similar texts",
        "The tests run exactly the same lines of the program, and their texts are similar. They "
        "may check different things.",
        "note",
    ),
]
_GAPS = [
    _Rule(
        "untested-function",
        "UntestedFunction",
        "A function that no test runs",
        "No test runs any statement of the function.",
        "warning",
    ),
    _Rule(
        "untested-lines",
        "UntestedLines",
        "Lines of a function that no test runs",
        "Tests run the function, but not these lines of it.",
        "note",
    ),
]


def duplicates_sarif(groups: Sequence[tuple[DuplicateGroup, str]], root: Path) -> dict[str, Any]:
    """Return groups of duplicates as a SARIF log.

    Parameters
    ----------
    groups : sequence of (DuplicateGroup, str)
        The findings, each with its fingerprint of `group_fingerprints`.
    root : pathlib.Path
        Folder that paths in the log are relative to.

    Returns
    -------
    dict
        The log, ready for `json.dump`.
    """
    results = [_duplicates_result(group, root, mark) for group, mark in groups]
    return _log(_DUPLICATES, results, root)


def gaps_sarif(gaps: Sequence[Gap], folder: Path, root: Path) -> dict[str, Any]:
    """Return gaps of coverage as a SARIF log.

    Parameters
    ----------
    gaps : sequence of Gap
        The findings.
    folder : pathlib.Path
        Folder that relative paths of the gaps are relative to.
    root : pathlib.Path
        Folder that paths in the log are relative to.

    Returns
    -------
    dict
        The log, ready for `json.dump`.
    """
    marks = numbered(fingerprint("gap", [gap.function, gap.text]) for gap in gaps)
    results = []
    for gap, mark in zip(gaps, marks, strict=True):
        position = 0 if gap.untested else 1
        region = {"startLine": gap.lines[0], "endLine": gap.last_line}
        place = _place(folder / gap.path, root, region, gap.function)
        results.append(_result(_GAPS, position, gap.summary(), [place], mark))
    return _log(_GAPS, results, root)


def _duplicates_result(group: DuplicateGroup, root: Path, mark: str) -> dict[str, Any]:
    """Return a SARIF result at the first test, with the other tests as related locations."""
    first, *others = group.tests
    text = f"{first.nodeid} and {', '.join(t.nodeid for t in others)}: {group.reason}."
    if group.suggestion:
        text += f" They could be one test:\n\n{group.suggestion}"
    places = [_test_place(test, root) for test in group.tests]
    return _result(_DUPLICATES, group.tier - 1, text, places, mark)


def _result(
    rules: list[_Rule], position: int, text: str, places: list[dict[str, Any]], mark: str
) -> dict[str, Any]:
    """Return a result of one rule; ``mark`` is its fingerprint."""
    return {
        "ruleId": rules[position].id,
        "ruleIndex": position,
        "level": rules[position].level,
        "message": {"text": text},
        "locations": places[:1],
        "relatedLocations": [{"id": i, **place} for i, place in enumerate(places[1:], 1)],
        "partialFingerprints": {_FINGERPRINT: mark},
    }


def _test_place(test: CollectedTest, root: Path) -> dict[str, Any]:
    """Return the SARIF location of a test."""
    return _place(test.path, root, {"startLine": test.line, "endLine": test.last_line}, test.nodeid)


def _place(path: Path, root: Path, region: dict[str, int], name: str) -> dict[str, Any]:
    """Return a SARIF location: a region of a file, and the name of the function there."""
    inside = path.is_relative_to(root)
    shown = path.relative_to(root).as_posix() if inside else path.as_posix()
    file = {"uri": quote(shown, errors="surrogateescape")}
    return {
        "physicalLocation": {
            "artifactLocation": {**file, "uriBaseId": "ROOT"} if inside else file,
            "region": region,
        },
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "function"}],
    }


def _log(rules: list[_Rule], results: list[dict[str, Any]], root: Path) -> dict[str, Any]:
    """Return a SARIF log of one run."""
    driver = {
        "name": "flashwasm",
        "version": __version__,
        "informationUri": _HOME,
        "rules": [
            {
                "id": rule.id,
                "name": rule.name,
                "shortDescription": {"text": rule.short},
                "fullDescription": {"text": rule.full},
                "help": {"text": rule.full},
                "helpUri": _HOME,
                "defaultConfiguration": {"level": rule.level},
                "properties": {"tags": ["tests", "maintainability"]},
            }
            for rule in rules
        ],
    }
    base = f"{root.as_uri()}/" if root.as_posix() != "/" else root.as_uri()
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"ROOT": {"uri": base}},
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
