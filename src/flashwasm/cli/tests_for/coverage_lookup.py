"""The coverage database that a command uses: the named one, or coverage.py's default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.options import FILE
from flashwasm.cli.output import note
from flashwasm.errors import CapabilityError, FlashWasmError
from flashwasm.optional_packages import optional_module
from flashwasm.qe.changes.git_changes import GitRepository
from flashwasm.qe.changes.recorded_sources import differing_sources
from flashwasm.qe.coverage.coverage_index import CoverageIndex

if TYPE_CHECKING:
    from flashwasm.cli.tests_for.change_options import ChangeSource
    from flashwasm.qe.changes.unified_diff import ChangedFile

__all__ = ["CoverageLookup", "coverage_options"]

# Files that coverage.py reads settings from, in its order.
_SETTINGS = (".coveragerc", "setup.cfg", "tox.ini", "pyproject.toml")
_DEFAULT = ".coverage"


class CoverageLookup:
    """The choice of a coverage database.

    Parameters
    ----------
    given : pathlib.Path or None
        Path of ``--coverage``.
    off : bool
        True for ``--no-coverage``.
    """

    def __init__(self, given: Path | None, *, off: bool) -> None:
        self.given = given
        self._off = off

    def path(self, root: Path) -> Path | None:
        """Return the named path or coverage.py's default path; None with ``--no-coverage``."""
        if self.given is not None or self._off:
            return self.given
        return root / _configured(root)

    def load(
        self, root: Path, change: ChangeSource, changes: Sequence[ChangedFile]
    ) -> tuple[Path, CoverageIndex] | None:
        """Load the database to use, print its path on stderr, and return its path and content.

        A database that the user named must be readable. A database at the default path is ignored
        if it contains no tests, or if it was recorded with another version of a source file.

        Parameters
        ----------
        root : pathlib.Path
            pytest's rootdir.
        change : ChangeSource
            Options that name the change.
        changes : sequence of ChangedFile
            Changed files.
        """
        path = self.path(root)
        if path is None:
            return None
        if self.given is not None:
            coverage = CoverageIndex.load(path, progress=True)
            if stale := _differing(path, coverage, root, change, changes):
                note(
                    f"{path} was recorded with another version of {stale}, so tests may be left out"
                )
            return path, coverage
        if not path.is_file():
            note(
                f"no coverage database at {path}, so imports alone select the tests "
                "(pytest --fw-record makes one)"
            )
            return None
        try:
            coverage = CoverageIndex.load(path, progress=True)
        except FlashWasmError as error:
            note(
                f"imports alone select the tests, as the coverage database cannot be used: {error}"
            )
            return None
        if stale := _differing(path, coverage, root, change, changes):
            note(
                f"imports alone select the tests, as {path} was recorded with another version of "
                f"{stale}; record it before the change, or name it with --coverage to use it as it "
                "is"
            )
            return None
        note(f"using the coverage database {path} (--no-coverage ignores it)")
        return path, coverage


def coverage_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--coverage`` and ``--no-coverage``, and pass both as ``lookup``."""

    @click.option(
        "--coverage",
        "database",
        metavar="DB",
        type=FILE,
        help="A coverage.py database with test contexts, made before the change.  "
        "[default: coverage.py's data file, if it was recorded before the change]",
    )
    @click.option(
        "--no-coverage",
        is_flag=True,
        help="Use no coverage database; select the tests by imports alone.",
    )
    @wraps(command)
    def gathered(*, database: Path | None, no_coverage: bool, **given: Any) -> None:
        """Call the command with the two options as one argument."""
        if database is not None and no_coverage:
            raise click.UsageError(
                "--coverage and --no-coverage exclude each other; give one of them"
            )
        command(**given, lookup=CoverageLookup(database, off=no_coverage))

    return gathered


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
    change: ChangeSource,
    changes: Sequence[ChangedFile],
) -> str:
    """Return a phrase for the sources that have changed since the recording; "" if none has."""
    before = None if change.since is None else (GitRepository(root), change.since)
    names = differing_sources(database, coverage.files, root, changes, before)
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"
