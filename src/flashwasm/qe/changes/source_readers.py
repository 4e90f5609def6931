"""Test files that may read the source of a changed file as text, without importing it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LISTS", "PLACES", "source_readers"]

# A file that lists a folder and refers to the project's location may read any file in the project.
LISTS = re.compile(r"\b(?:walk|fwalk|iterdir|listdir|scandir|r?glob|iglob)\b")
_HERE = r"\b(?:Path|chdir|f?walk|listdir|scandir|i?glob)\s*\(\s*\)|[\"']\.[\"']"
PLACES = re.compile(rf"__file__|cwd|rootpath|rootdir|invocation_|\.\./|{_HERE}|resources")
# Functions that list only the files which match a pattern, and the patterns.
_LISTS_ALL = re.compile(r"\b(?:walk|fwalk|iterdir|listdir|scandir)\b")
_PATTERN = re.compile(r"[\"']([^\"'\n]*\*[^\"'\n]*)[\"']")
# Signs that a file reads, copies or runs the source of a module whose name is computed.
_COMPUTED = re.compile(
    r"(?<![\w.])(?:exec|compile)\(|[\w\])]\.__file__|\bget(?:source)?file\b|\bget_data\b"
    r"|\bcopytree\b|\bmake_archive\b|\bPyZipFile\b|\bcompileall\b|(?:[*\"'}]|%s)\.py\b"
)


def source_readers(changed: Path, files: Iterable[Path]) -> set[Path]:
    """Return the files that may read the source of a changed file as text.

    Such a file contains the name of the changed file, lists the project's folders, or reads the
    sources of modules whose names it computes.

    Parameters
    ----------
    changed : pathlib.Path
        The changed file.
    files : iterable of pathlib.Path
        Test files, and fixtures and helpers of tests.
    """
    name = re.compile(rf"(?<![\w.]){re.escape(changed.name)}\b")
    return {file for file in files if file != changed and _may_read(file, changed.name, name)}


def _may_read(file: Path, name: str, pattern: re.Pattern[str]) -> bool:
    """Return True if a file may read the source of a file with a name."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return False  # A file that the change deletes can no longer read anything.
    return bool(pattern.search(text) or _COMPUTED.search(text)) or _may_list(text, name)


def _may_list(text: str, name: str) -> bool:
    """Return True if a text lists the project's folders and may find a file with a name."""
    if not LISTS.search(text) or not PLACES.search(text):
        return False
    patterns = _PATTERN.findall(text)
    if not patterns or _LISTS_ALL.search(text):
        return True
    return any(fnmatch.fnmatch(name, one.rpartition("/")[2]) for one in patterns)
