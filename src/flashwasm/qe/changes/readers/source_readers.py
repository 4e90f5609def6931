"""Test files that may read the source of a changed file as text, without importing it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path

from flashwasm.qe.changes.imports.project_files import text_of
from flashwasm.qe.changes.known_names import SOURCE_LIBRARIES

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
    r"|spec\w*(?:\([^)]*\))?\.origin\b|__path__|\bget_source\b|\bco_filename\b"
    # Libraries that read whole packages.
    rf"|(?:from|import)[ \t]+(?:{'|'.join(SOURCE_LIBRARIES)})\b"
    r"|\bcopytree\b|\bmake_archive\b|\bPyZipFile\b|\bcompileall\b|(?:[*\"'}]|%s)\.py\b"
)


def source_readers(
    changed: Path, files: Iterable[Path], root: Path, others: Iterable[Path] = ()
) -> set[Path]:
    """Return the files that may read the source of a changed file as text.

    Such a file contains the name of the changed file, lists the project's folders, or reads the
    sources of modules whose names it computes. One of the other files must contain the name as a
    string.

    Parameters
    ----------
    changed : pathlib.Path
        The changed file.
    files : iterable of pathlib.Path
        Test files, and fixtures and helpers of tests.
    root : pathlib.Path
        Root of the project.
    others : iterable of pathlib.Path, default ()
        Other files that tests import.
    """
    own = re.escape(changed.name)
    name = re.compile(rf"(?<![\w.]){own}\b")
    folders = changed.relative_to(root).parts[:-1] if changed.is_relative_to(root) else ()
    named = [PLACES.pattern, *(rf"[\"'/]{re.escape(folder)}[\"'/]" for folder in folders)]
    places = re.compile("|".join(named))
    found = {file for file in files if _may_read(text_of(file), changed.name, name, places)}
    quoted = re.compile(rf"[\"'/\\]{own}[\"']")
    return (found | {file for file in others if quoted.search(text_of(file))}) - {changed}


def _may_read(text: str, name: str, pattern: re.Pattern[str], places: re.Pattern[str]) -> bool:
    """Return True if a file with a text may read the source of a file with a name."""
    if pattern.search(text) or _COMPUTED.search(text):
        return True
    if not LISTS.search(text) or not places.search(text):
        return False
    patterns = _PATTERN.findall(text)
    if not patterns or _LISTS_ALL.search(text):
        return True
    return any(fnmatch.fnmatch(name, one.rpartition("/")[2]) for one in patterns)
