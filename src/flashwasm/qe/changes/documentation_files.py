"""Documentation files that no test can read. A change of such a file selects no test."""

from __future__ import annotations

import configparser
import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from flashwasm.qe.changes.source_readers import LISTS, PLACES
from flashwasm.qe.suites.pytest_rootdir import settings_file
from flashwasm.qe.suites.pytest_settings import settings_table

__all__ = ["is_unread_documentation"]

_SUFFIXES = (".md", ".rst", ".txt")
# Text files that are documentation. Others are data, such as lists of required packages.
_TEXTS = {
    *("authors", "changelog", "changes", "contributing", "contributors", "copying", "history"),
    *("licence", "license", "news", "notice", "readme", "todo"),
}
# pytest runs the examples in such files by default.
_DOCTESTS = "test*.txt"
_TEST_FOLDERS = {"test", "tests", "testing"}
# Words of a test or a plugin that runs the examples in documentation.
_RUNNERS = re.compile(r"doctest|sybil|markdown|codeblock|find_examples|mktestdocs|\brst\b")


def is_unread_documentation(path: str, root: Path, rootdir: Path, files: Iterable[Path]) -> bool:
    """Return True if a file is documentation that no test of a project can read.

    Such a file is outside of packages and test folders. No Python file and no pytest setting names
    the file, its folder or its suffix, runs examples in documentation, or lists the project's
    folders. ``setup.py`` may name the file, since no test runs ``setup.py``.

    Parameters
    ----------
    path : str
        Path of the file, relative to the project's root.
    root : pathlib.Path
        Root of the project.
    rootdir : pathlib.Path
        pytest's rootdir.
    files : iterable of pathlib.Path
        Python files of the project.
    """
    file = PurePosixPath(path)
    suffix = file.suffix.lower()
    if suffix not in _SUFFIXES or fnmatch.fnmatch(file.name, _DOCTESTS):
        return False
    if suffix == ".txt" and file.stem.lower() not in _TEXTS:
        return False
    folders = [folder.lower() for folder in file.parts[:-1]]
    inside_package = any((root / one / "__init__.py").exists() for one in file.parents)
    if inside_package or not _TEST_FOLDERS.isdisjoint(folders):
        return False
    # The folder is looked for between quotation marks and slashes: "docs" is a common word.
    parts = [f"{re.escape(file.name)}|{re.escape(file.suffix)}\\b|\\b{re.escape(file.stem)}\\b"]
    parts += [rf"[\"'/]{re.escape(folder)}[\"'/]" for folder in file.parts[:-1]]
    names = re.compile("|".join(parts), re.IGNORECASE)
    settings = _pytest_settings(rootdir)
    if names.search(settings) or _RUNNERS.search(settings):
        return False
    return not any(_may_read(one, names) for one in files if one != root / "setup.py")


def _may_read(file: Path, names: re.Pattern[str]) -> bool:
    """Return True if a Python file may read the documentation that has some names."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        # A file that the change deletes can no longer read anything.
        return file.exists()
    lists = LISTS.search(text) and PLACES.search(text)
    return bool(names.search(text) or _RUNNERS.search(text) or lists)


def _pytest_settings(rootdir: Path) -> str:
    """Return the settings of pytest as text; the whole file if it cannot be read as settings."""
    file = settings_file(rootdir)
    if file is None:
        return ""
    try:
        return repr(settings_table(file))
    except (ValueError, configparser.Error, RecursionError):
        return file.read_text("utf-8", "replace")
