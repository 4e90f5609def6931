"""Findings as SARIF 2.1.0, the format of code-scanning tools.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flashwasm import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["duplicates_sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES = [
    ("identical-test", "Tests with the same body"),
    ("identical-but-for-literals", "Tests that differ in literals only"),
    ("same-coverage", "Tests that run the same lines and have similar texts"),
]


def duplicates_sarif(groups: Sequence[DuplicateGroup], root: Path) -> dict[str, Any]:
    """Return groups of duplicates as a SARIF log.

    Parameters
    ----------
    groups : sequence of DuplicateGroup
        The findings.
    root : pathlib.Path
        Folder that paths in the log are relative to.

    Returns
    -------
    dict
        The log, ready for `json.dump`.
    """
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "flashwasm",
                        "version": __version__,
                        "rules": [
                            {"id": name, "shortDescription": {"text": text}}
                            for name, text in _RULES
                        ],
                    }
                },
                "originalUriBaseIds": {"ROOT": {"uri": f"{root.as_uri()}/"}},
                "results": [_result(group, root) for group in groups],
            }
        ],
    }


def _result(group: DuplicateGroup, root: Path) -> dict[str, Any]:
    """Return a SARIF result: the first test is its place, the others are related places."""
    first, *others = group.tests
    names = ", ".join(test.nodeid for test in others)
    text = f"{first.nodeid} and {names}: {group.reason}."
    if group.suggestion:
        text += f" They could be one test:\n\n{group.suggestion}"
    return {
        "ruleId": _RULES[group.tier - 1][0],
        "ruleIndex": group.tier - 1,
        "level": "note" if group.tier == len(_RULES) else "warning",
        "message": {"text": text},
        "locations": [_location(first, root)],
        "relatedLocations": [
            {"id": i, **_location(test, root)} for i, test in enumerate(others, 1)
        ],
    }


def _location(test: CollectedTest, root: Path) -> dict[str, Any]:
    """Return the SARIF location of a test."""
    inside = test.path.is_relative_to(root)
    path = test.path.relative_to(root) if inside else test.path
    place = {"uri": quote(path.as_posix(), errors="surrogateescape")}
    return {
        "physicalLocation": {
            "artifactLocation": {**place, "uriBaseId": "ROOT"} if inside else place,
            "region": {"startLine": test.line},
        },
        "logicalLocations": [{"fullyQualifiedName": test.nodeid, "kind": "function"}],
    }
