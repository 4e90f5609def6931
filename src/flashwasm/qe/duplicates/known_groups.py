"""Groups of duplicates to leave out: those in a baseline, and tests excluded by the user."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CorruptFileError
from flashwasm.qe.suites.fingerprints import fingerprint, normalized_source, numbered
from flashwasm.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["group_fingerprints", "read_baseline", "wanted_tests", "write_groups"]

_KIND = "flashwasm duplicates baseline"
_VERSION = 1
_IGNORE = re.compile(r"#\s*flashwasm:\s*ignore\[([\w\s,-]*)\]")
_RULE = "duplicate"


def group_fingerprints(groups: Sequence[DuplicateGroup]) -> list[str]:
    """Return a fingerprint of each group, computed from the names and the code of its tests.

    It does not change if the tests move in their files or to other files, or if comments,
    docstrings or formatting change.
    """
    return numbered(
        fingerprint(
            group.kind,
            [f"{_name_in_file(test)}\n{normalized_source(test.source)}" for test in group.tests],
        )
        for group in groups
    )


def read_baseline(file: Path) -> frozenset[str]:
    """Return the fingerprints in a file that `write_groups` wrote.

    Raises
    ------
    CorruptFileError
        If the file is not a baseline.
    OSError
        If it cannot be read.
    """
    try:
        document = json.loads(file.read_bytes())
        if (document["kind"], document["version"]) != (_KIND, _VERSION):
            raise CorruptFileError(
                f"{file} is {document['kind']!r:.80} of version {document['version']!r:.80}; "
                f"expected {_KIND!r} of version {_VERSION}, as --write-baseline writes it"
            )
        return frozenset(str(group["fingerprint"]) for group in document["groups"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CorruptFileError(
            f"{file} is not a baseline of `flashwasm duplicates`; make one with --write-baseline"
        ) from error


def write_groups(file: Path, groups: Sequence[DuplicateGroup]) -> None:
    """Write the fingerprints of groups, each with its kind and node ids for human readers."""
    entries: list[dict[str, Any]] = [
        {"fingerprint": one, "kind": group.kind, "tests": [test.nodeid for test in group.tests]}
        for one, group in zip(group_fingerprints(groups), groups, strict=True)
    ]
    # Sorted, so that a new entry is one block of a diff, regardless of the order of the suite.
    entries.sort(key=lambda entry: entry["fingerprint"])
    document = {"kind": _KIND, "version": _VERSION, "groups": entries}
    write_atomically(file, [json.dumps(document, indent=2).encode(), b"\n"])


def wanted_tests(tests: Iterable[CollectedTest], exclude: Sequence[str]) -> list[CollectedTest]:
    """Return the tests that neither a file pattern nor a comment excludes.

    Parameters
    ----------
    tests : iterable of CollectedTest
        The tests.
    exclude : sequence of str
        Shell patterns for the path or the name of a file or of a folder that contains it. Paths are
        relative to the suite's root.

    Returns
    -------
    list of CollectedTest
        The other tests. The comment ``# flashwasm: ignore[duplicate]`` also excludes a test. It is
        on the line of the test's ``def``, on the line above, or above its first decorator.
    """
    rules: dict[Path, dict[int, set[str]]] = {}
    wanted = []
    for test in tests:
        if _is_excluded(test.nodeid.partition("::")[0], exclude):
            continue
        if test.path not in rules:
            rules[test.path] = _ignored_rules(test.path)
        if not _is_ignored(test, rules[test.path]):
            wanted.append(test)
    return wanted


def _name_in_file(test: CollectedTest) -> str:
    """Return the part of a node id after the file."""
    return test.nodeid.partition("::")[2]


def _is_excluded(path: str, patterns: Sequence[str]) -> bool:
    """Return True if a pattern matches a file or a folder that contains it."""
    parts = path.split("/")
    names = {*parts, *("/".join(parts[:end]) for end in range(1, len(parts) + 1))}
    return any(fnmatchcase(name, pattern.rstrip("/")) for name in names for pattern in patterns)


def _ignored_rules(path: Path) -> dict[int, set[str]]:
    """Return the rules that comments of a file ignore, by line; none if it cannot be read."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return {}
    found = {number: _IGNORE.search(line) for number, line in enumerate(lines, 1)}
    return {
        number: {name.strip() for name in match[1].split(",")}
        for number, match in found.items()
        if match is not None
    }


def _is_ignored(test: CollectedTest, rules: dict[int, set[str]]) -> bool:
    """Return True if a comment on or above a test's ``def`` or its decorators excludes it."""
    if not rules:
        return False
    places = (test.line, test.line - 1, test.first_line - 1)
    return any(_RULE in rules.get(place, ()) for place in places)
