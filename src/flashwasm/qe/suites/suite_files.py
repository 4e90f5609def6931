"""The files of a suite, in which pytest looks for tests."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterator
from pathlib import Path

from flashwasm.qe.suites.conftest_rules import ConftestRules, read_conftest
from flashwasm.qe.suites.pytest_settings import PytestSettings, matches_path
from flashwasm.qe.suites.source_files import Skipped, walk_files

__all__ = ["suite_files"]


def suite_files(path: Path, settings: PytestSettings, skipped: list[Skipped]) -> list[Path]:
    """Return the files from which pytest collects tests, sorted within each folder.

    For pytest's rootdir, these are the files that ``pytest`` without arguments collects: the
    setting ``testpaths`` applies.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of a folder, or of one file of any name.
    settings : PytestSettings
        Settings of pytest for this path.
    skipped : list of Skipped
        Receives folders that cannot be read, and rules that are known only at run time.
    """
    if not path.is_dir():
        return [path]
    filter_ = _Filter(settings, skipped)
    files: dict[Path, None] = {}
    for start in _starts(path, settings):
        if start.is_dir():
            files.update(dict.fromkeys(filter_.files(start)))
        elif start.suffix == ".py":
            files[start] = None
    return list(files)


def _starts(path: Path, settings: PytestSettings) -> list[Path]:
    """Return the files and folders at which pytest starts."""
    if path != settings.root:
        return [path]
    found = [
        path / name
        for pattern in settings.testpaths
        for name in sorted(glob.glob(pattern, root_dir=path, recursive=True))  # noqa: PTH207 - as pytest does.
    ]
    # A path inside another listed folder is collected with that folder.
    return [one for one in found if not any(other in one.parents for other in found)] or [path]


class _Filter:
    """Decides which files and folders pytest skips.

    Parameters
    ----------
    settings : PytestSettings
        Settings of pytest.
    skipped : list of Skipped
        Receives the files and rules that could not be read or followed.
    """

    def __init__(self, settings: PytestSettings, skipped: list[Skipped]) -> None:
        self._settings = settings
        self._skipped = skipped
        self._rules: dict[Path, ConftestRules] = {}

    def files(self, start: Path) -> Iterator[Path]:
        """Yield the test files below a folder."""
        for file in walk_files(start, self._skipped, self._leaves_out_folder):
            self._rules_of(file.parent)
            if self._settings.is_file(file) and not self._ignores(file):
                yield file

    def _leaves_out_folder(self, folder: Path) -> bool:
        """Return True if pytest does not enter a folder."""
        return (
            folder.name == "__pycache__"
            or any(matches_path(folder, pattern) for pattern in self._settings.norecursedirs)
            or (folder / "pyvenv.cfg").is_file()
            or (folder / "conda-meta" / "history").is_file()
            or self._ignores(folder)
        )

    def _ignores(self, path: Path) -> bool:
        """Return True if an option or a conftest.py excludes a file or folder."""
        return (
            path in self._settings.ignore
            or any(fnmatch.fnmatch(str(path), one) for one in self._settings.ignore_glob)
            or self._rules_of(path.parent).ignores(path)
        )

    def _rules_of(self, folder: Path) -> ConftestRules:
        """Return the rules of the conftest.py files that apply to a folder."""
        if folder not in self._rules:
            rules = read_conftest(folder / "conftest.py")
            self._skipped += rules.skipped
            # pytest reads no conftest.py above the rootdir.
            if folder != self._settings.root and folder.is_relative_to(self._settings.root):
                rules = rules.within(self._rules_of(folder.parent))
            self._rules[folder] = rules
        return self._rules[folder]
