"""Documentation files, and the Python files that may read them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from flashwasm.qe.changes.known_names import EXAMPLE_RUNNERS
from flashwasm.qe.changes.readers.source_readers import LISTS, PLACES
from flashwasm.qe.suites.pytest_settings import settings_text
from flashwasm.qe.suites.source_files import TEST_FOLDERS

__all__ = ["documentation_readers"]

_SUFFIXES = (".md", ".rst", ".txt")
# Text files that are documentation. Others are data, such as lists of required packages.
_TEXTS = {
    *("authors", "changelog", "changes", "contributing", "contributors", "copying", "history"),
    *("licence", "license", "news", "notice", "readme", "todo"),
}
# pytest runs the examples in such files by default.
_DOCTESTS = "test*.txt"
# Folders in which Sphinx has its settings.
_SPHINX = ("doc", "docs", "doc/source", "docs/source", "docs/src")
# Words of a test or a plugin that runs the examples in documentation.
_RUNNERS = re.compile("|".join(EXAMPLE_RUNNERS))
# pytest's own examples in Python files are not in documentation.
_OF_MODULES = re.compile(
    r"doctest(?:-modules|-ignore-import-errors|-report|_optionflags|_encoding)"
)


def documentation_readers(
    path: str, root: Path, rootdir: Path, files: Iterable[Path]
) -> set[Path] | None:
    """Return the Python files through which a test can read a documentation file.

    Such a Python file names the file, its folder or its suffix, runs examples in documentation, or
    lists the project's folders. ``setup.py`` and Sphinx's ``docs/conf.py`` may name the file, since
    no test imports them.

    Any test may read a file that is not documentation, that is inside a package or a test folder,
    or that pytest's settings name. The result is None then.

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
        return None
    if suffix == ".txt" and file.stem.lower() not in _TEXTS:
        return None
    folders = [folder.lower() for folder in file.parts[:-1]]
    inside_package = any((root / one / "__init__.py").exists() for one in file.parents)
    if inside_package or not TEST_FOLDERS.isdisjoint(folders):
        return None
    # The folder and the stem are looked for between quotation marks and slashes, because "docs" and
    # "history" are common words.
    parts = [f"{re.escape(file.name)}|{re.escape(file.suffix)}\\b"]
    parts += [rf"[\"'/]{re.escape(one)}[\"'/]" for one in (*file.parts[:-1], file.stem)]
    names = re.compile("|".join(parts), re.IGNORECASE)
    settings = _OF_MODULES.sub("", settings_text(rootdir))
    if names.search(settings) or _RUNNERS.search(settings):
        return None
    own = {root / "setup.py", *(root / folder / "conf.py" for folder in _SPHINX)}
    return {one for one in files if one not in own and _may_read(one, names)}


def _may_read(file: Path, names: re.Pattern[str]) -> bool:
    """Return True if a Python file may read the documentation that has some names."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        # A file that the change deletes can no longer read anything.
        return file.exists()
    lists = LISTS.search(text) and PLACES.search(text)
    return bool(names.search(text) or _RUNNERS.search(text) or lists)
