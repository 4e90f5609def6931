"""Tests that pytest collects from other places than test functions: doctests, and own kinds."""

from __future__ import annotations

import configparser
import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.known_names import COLLECTING_HOOKS
from flashwasm.qe.suites.pytest_rootdir import settings_file
from flashwasm.qe.suites.pytest_settings import settings_table
from flashwasm.qe.suites.source_files import Skipped, is_unsearched

if TYPE_CHECKING:
    from flashwasm.qe.similarity.suite_index import SuiteIndex

__all__ = ["unlisted_tests"]

_DOCTESTS = "its doctests are not listed"
# Text files in which pytest runs examples, unless the settings name others.
_TEXTS = "test*.txt"
_GLOB = re.compile(r"--doctest-glob[=\s'\",]+([^\s'\",]+)")
_EXAMPLE = re.compile(rb"^\s*>>> ", re.MULTILINE)
# Hooks with which a conftest.py collects tests of its own kind.
_COLLECTS = re.compile(rf"\bpytest_(?:{'|'.join(COLLECTING_HOOKS)})\b")


def unlisted_tests(index: SuiteIndex) -> Iterator[Skipped]:
    """Yield the files and folders with tests that are not in an index.

    They are files with doctests that pytest runs, and folders whose conftest.py collects tests by a
    hook.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.
    """
    for one in index.skipped:
        if one.path.name == "conftest.py" and (hook := _COLLECTS.search(one.reason)):
            reason = f"{hook[0]} in its conftest.py may collect tests that are not listed"
            yield Skipped(one.path.parent, reason)
    options = _options(index.root)
    globs = _GLOB.findall(options) or [_TEXTS]
    modules = "--doctest-modules" in options
    for file in _files(index.path):
        is_text = any(fnmatch.fnmatch(file.name, one) for one in globs)
        if (modules if file.suffix == ".py" else is_text) and _EXAMPLE.search(file.read_bytes()):
            yield Skipped(file, _DOCTESTS)


def _options(rootdir: Path) -> str:
    """Return the options that pytest's settings add to each run."""
    file = settings_file(rootdir)
    try:
        return "" if file is None else str(settings_table(file).get("addopts", ""))
    except (OSError, ValueError, configparser.Error, RecursionError):
        return ""  # The suite's index reports such settings.


def _files(path: Path) -> Iterator[Path]:
    """Yield the files below a path, or the file at the path."""
    if path.is_file():
        yield path
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_unsearched(Path(folder, name)))
        yield from (Path(folder, name) for name in sorted(files))
