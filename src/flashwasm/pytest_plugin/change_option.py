"""The change that ``--fw-diff`` names: a diff, or all changes since a git revision."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flashwasm.errors import FlashWasmError, ShapeError
from flashwasm.qe.changes.diffs.git_changes import GitRepository
from flashwasm.qe.changes.diffs.unified_diff import ChangedFile, read_diff

__all__ = ["ChangeOption"]


class ChangeOption:
    """The changed files.

    Parameters
    ----------
    config : pytest.Config
        Configuration of the session.
    diff : str
        Path of a diff, or else a git revision.
    database : pathlib.Path or None
        Coverage database that the session reads, which is not part of the change.

    Raises
    ------
    pytest.UsageError
        If ``diff`` is neither a file nor a revision that git knows.

    Attributes
    ----------
    before : tuple of (GitRepository, str) or None
        Repository and revision before the change; None for a diff.
    """

    def __init__(self, config: pytest.Config, diff: str, database: Path | None) -> None:
        folder = config.invocation_params.dir
        self.before: tuple[GitRepository, str] | None = None
        self._file = folder / diff
        if self._file.is_file():
            return
        options = map(config.getoption, ("--fw-record", "--fw-known"))
        own = (database, *(folder / path for path in options if path))
        try:
            self.before = _repository(config), diff
            self._changes = self.before[0].changes_since(diff, without=own)
        except FlashWasmError as error:
            reason = " ".join(str(error).split())
            raise pytest.UsageError(f"--fw-diff: {diff!r} is not a file, and {reason}") from error

    def changes(self) -> list[ChangedFile]:
        """Return the changed files. Raise DTypeError if the file is not a unified diff."""
        if self.before is None:
            return read_diff(self._file.read_text("utf-8", "replace"))
        return self._changes


def _repository(config: pytest.Config) -> GitRepository:
    """Return the repository of pytest's rootdir, or else that of the tests to run.

    The rootdir may lie outside of the repository, as with ``--rootdir`` and ``-c``.
    """
    try:
        return GitRepository(config.rootpath)
    except ShapeError:
        here = config.invocation_params.dir
        asked = [here / argument.partition("::")[0] for argument in config.args]
        places = [str(path) for path in asked if path.exists()] or [str(here)]
        return GitRepository(Path(os.path.commonpath(places)))
