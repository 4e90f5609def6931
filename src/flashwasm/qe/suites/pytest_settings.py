"""The pytest settings that affect which tests it collects."""

from __future__ import annotations

import configparser
import fnmatch
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir, settings_file
from flashwasm.qe.suites.source_files import NO_RECURSION, TEST_FILES, Skipped

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PytestSettings", "read_settings", "settings_table", "settings_text"]

# Section of each kind of file that is not TOML.
_SECTIONS = {"setup.cfg": "tool:pytest"}
# Options in `addopts` that affect collection and have a value.
_WITH_VALUE = {"--ignore", "--ignore-glob", "--deselect", "-o", "--override-ini", "--doctest-glob"}
_TRUE = {"1", "true", "yes", "on", "t", "y"}


@dataclass(frozen=True)
class PytestSettings:
    """Settings of pytest for one suite.

    Parameters
    ----------
    root : pathlib.Path
        pytest's rootdir.
    python_files, python_classes, python_functions : tuple of str
        Patterns for the names of test files; prefixes or patterns for classes and functions.
    norecursedirs : tuple of str
        Patterns for folders that pytest does not enter.
    testpaths : tuple of str
        Patterns of the paths that ``pytest`` without arguments collects, relative to the root.
    pythonpath : tuple of pathlib.Path
        Folders that pytest puts on Python's path.
    ignore : frozenset of pathlib.Path
        Files and folders that ``addopts`` excludes.
    ignore_glob : tuple of str
        Patterns for whole paths that ``addopts`` excludes.
    deselect : tuple of str
        Prefixes of node ids that ``addopts`` excludes.
    collect_imported_tests : bool
        False if tests that a file imports are left out.
    skipped : tuple of Skipped
        Files that could not be read.
    """

    root: Path
    python_files: tuple[str, ...] = TEST_FILES
    python_classes: tuple[str, ...] = ("Test",)
    python_functions: tuple[str, ...] = ("test",)
    norecursedirs: tuple[str, ...] = NO_RECURSION
    testpaths: tuple[str, ...] = ()
    pythonpath: tuple[Path, ...] = ()
    ignore: frozenset[Path] = frozenset()
    ignore_glob: tuple[str, ...] = ()
    deselect: tuple[str, ...] = ()
    collect_imported_tests: bool = True
    skipped: tuple[Skipped, ...] = ()

    def is_function(self, name: str) -> bool:
        """Return True if a function of this name is a test."""
        return _begins(name, self.python_functions)

    def is_class(self, name: str) -> bool:
        """Return True if a class of this name is a test class."""
        return _begins(name, self.python_classes)

    def is_file(self, path: Path) -> bool:
        """Return True if a file with this path is a test file."""
        return any(matches_path(path, pattern) for pattern in self.python_files)


def read_settings(path: Path) -> PytestSettings:
    r"""Return the settings of ``pytest PATH``.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of a folder or a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "pytest.ini").write_text("[pytest]\npython_functions = check")
    ...     read_settings(Path(folder)).python_functions
    ('check',)
    """
    root, file = pytest_rootdir(path), settings_file(path)
    if file is None:
        return PytestSettings(root)
    try:
        table = settings_table(file)
        options = list(_options(_words(table.get("addopts", ()))))
        overrides = (
            value.partition("=") for name, value in options if name in {"-o", "--override-ini"}
        )
        table |= {name: value for name, _, value in overrides}
        settings = {
            name: tuple(_words(table[name]))
            for name in (
                "python_files",
                "python_classes",
                "python_functions",
                "norecursedirs",
                "testpaths",
            )
            if name in table
        }
        pythonpath = tuple(_path(root, folder) for folder in _words(table.get("pythonpath", ())))
    # A setting of the wrong type raises a TypeError or an AttributeError in pytest.
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        configparser.Error,
        RecursionError,
    ) as error:
        reason = " ".join(f"not read as pytest's settings: {error}".split())
        return PytestSettings(root, skipped=(Skipped(file, reason),))
    given: dict[str, list[str]] = {}
    for name, value in options:
        given.setdefault(name, []).append(value)
    doctests = given.keys() & {"--doctest-modules", "--doctest-glob"}
    return PytestSettings(
        root,
        **settings,
        pythonpath=pythonpath,
        ignore=frozenset(_path(root, one) for one in given.get("--ignore", ())),
        ignore_glob=tuple(str(_path(root, one)) for one in given.get("--ignore-glob", ())),
        # A node id with parameters excludes single cases of a test, not the test.
        deselect=tuple(one for one in given.get("--deselect", ()) if "[" not in one),
        collect_imported_tests=str(table.get("collect_imported_tests", True)).lower() in _TRUE,
        skipped=(Skipped(file, "addopts asks for doctests, which are not listed"),)
        if doctests
        else (),
    )


def matches_path(path: Path, pattern: str) -> bool:
    """Return True if a path matches a pattern by pytest's rule.

    A pattern without a separator is compared with the last part of the path, any other pattern with
    the end of the whole path.
    """
    if os.sep not in pattern and "/" not in pattern:
        return fnmatch.fnmatch(path.name, pattern)
    return fnmatch.fnmatch(
        str(path), pattern if Path(pattern).is_absolute() else f"*{os.sep}{pattern}"
    )


def settings_table(file: Path) -> dict[str, Any]:
    """Return the pytest settings in a file, by name."""
    text = file.read_text("utf-8-sig")
    if file.suffix == ".toml":
        document = tomllib.loads(text)
        if file.name != "pyproject.toml":
            return dict(document.get("pytest", {}))
        table = document.get("tool", {}).get("pytest", {})
        return dict(table.get("ini_options", table))
    parser = configparser.RawConfigParser(strict=False, delimiters=("=", ":"), default_section="")
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(text)
    section = _SECTIONS.get(file.name, "pytest")
    return dict(parser[section]) if section in parser else {}


def settings_text(rootdir: Path) -> str:
    """Return the settings of pytest as text; the whole file if it cannot be read as settings.

    Parameters
    ----------
    rootdir : pathlib.Path
        pytest's rootdir.
    """
    file = settings_file(rootdir)
    if file is None:
        return ""
    try:
        return repr(settings_table(file))
    except (ValueError, configparser.Error, RecursionError):
        return file.read_text("utf-8", "replace")


def _words(value: object) -> list[str]:
    """Return a setting that is a list or a string of words."""
    return shlex.split(value) if isinstance(value, str) else [str(one) for one in value]  # type: ignore[attr-defined]


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of a command line with their values, "" for none."""
    rest = iter(words)
    for word in rest:
        name, _, value = word.partition("=")
        if name in _WITH_VALUE and "=" not in word:
            value = next(rest, "")
        yield name, value


def _path(root: Path, written: str) -> Path:
    """Return the absolute path for a path in a setting, which is relative to the rootdir."""
    return Path(os.path.abspath(root / written))  # noqa: PTH100 - resolve() would follow links.


def _begins(name: str, patterns: tuple[str, ...]) -> bool:
    """Return True if a name begins with one of some prefixes, or matches one as a pattern."""
    if name.startswith(patterns):
        return True
    for one in patterns:
        # Few patterns have wildcards, and this check runs for every name in a suite.
        if ("*" in one or "?" in one or "[" in one) and fnmatch.fnmatch(name, one):
            return True
    return False
