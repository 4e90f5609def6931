"""The coverage database for a change: the one that the user names, or coverage.py's default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import CapabilityError, FlashWasmError
from flashwasm.optional_packages import optional_module
from flashwasm.qe.changes.coverage.recorded_sources import differing_sources
from flashwasm.qe.coverage.coverage_index import CoverageIndex

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.git_changes import GitRepository
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["CoverageChoice"]

# Files that coverage.py reads settings from, in its order.
_SETTINGS = (".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml")
_DEFAULT = ".coverage"


class CoverageChoice:
    """The choice of a coverage database by two options: one names a database, one refuses all.

    Parameters
    ----------
    given : pathlib.Path or None
        Path of the database that the user named.
    off : bool
        True if the user wants no database.
    here : pathlib.Path
        Folder in which the command runs.
    named, refused : str, default "--coverage" and "--no-coverage"
        Names of the two options, for the messages.
    """

    def __init__(
        self,
        given: Path | None,
        *,
        off: bool,
        here: Path,
        named: str = "--coverage",
        refused: str = "--no-coverage",
    ) -> None:
        self.given = given
        self._off = off
        self._here = here
        self._named = named
        self._refused = refused

    def path(self, root: Path) -> Path | None:
        """Return the named path or coverage.py's default path; None if the user wants none."""
        if self.given is not None or self._off:
            return self.given
        paths = self._default_paths(root)
        return next((path for path in paths if path.is_file()), paths[0])

    def _default_paths(self, root: Path) -> list[Path]:
        """Return the paths at which coverage.py may have left a database.

        It writes to the folder in which it runs: probably pytest's rootdir, or the present one.
        """
        return [folder / _configured(folder) for folder in dict.fromkeys((root, self._here))]

    def load(
        self,
        root: Path,
        changes: Sequence[ChangedFile],
        before: tuple[GitRepository, str] | None,
        note: Callable[[str], None],
        *,
        progress: bool = False,
    ) -> tuple[Path, CoverageIndex] | None:
        """Load the database to use, note which one it is, and return its path and content.

        A database that the user named must be readable. A database at the default path is ignored
        if it contains no tests, or if it was recorded with another version of a source file.

        Parameters
        ----------
        root : pathlib.Path
            pytest's rootdir.
        changes : sequence of ChangedFile
            Changed files.
        before : tuple of (GitRepository, str) or None
            Repository and revision before the change; None for a diff.
        note : callable
            Function to call with each remark for the user.
        progress : bool, default False
            True to show progress on stderr.
        """
        path = self.path(root)
        if path is None:
            return None
        if self.given is not None:
            coverage = CoverageIndex.load(path, rootdir=root, progress=progress)
            if stale := _differing(path, coverage, root, changes, before):
                note(
                    f"{path} was recorded with another version of {stale}, so tests may be left out"
                )
            return path, coverage
        if not path.is_file():
            places = " or ".join(map(str, self._default_paths(root)))
            note(
                f"no coverage database at {places}, so imports alone select the tests "
                "(pytest --fw-record makes one)"
            )
            return None
        try:
            coverage = CoverageIndex.load(path, rootdir=root, progress=progress)
        except FlashWasmError as error:
            note(
                f"imports alone select the tests, as the coverage database cannot be used: {error}"
            )
            return None
        if stale := _differing(path, coverage, root, changes, before):
            note(
                f"imports alone select the tests, as {path} was recorded with another version of "
                f"{stale}; record it before the change, or name it with {self._named} to use it as "
                "it is"
            )
            return None
        note(f"using the coverage database {path} ({self._refused} ignores it)")
        return path, coverage


def _configured(root: Path) -> str:
    """Return the path of the database in coverage.py's settings, relative to the rootdir."""
    try:
        coverage = optional_module("coverage", extra=None)
    except CapabilityError:
        return _DEFAULT
    for settings in (root / name for name in _SETTINGS):
        if settings.is_file():
            try:
                measurement = coverage.Coverage(config_file=str(settings))
                path = str(measurement.get_option("run:data_file"))
            except coverage.exceptions.ConfigError:
                continue  # coverage.py itself says what is wrong with its settings.
            if path != _DEFAULT:
                return path
    return _DEFAULT


def _differing(
    database: Path,
    coverage: CoverageIndex,
    root: Path,
    changes: Sequence[ChangedFile],
    before: tuple[GitRepository, str] | None,
) -> str:
    """Return a phrase for the sources that have changed since the recording; "" if none has."""
    names = differing_sources(database, coverage.files, root, changes, before)
    if not names:
        return ""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
