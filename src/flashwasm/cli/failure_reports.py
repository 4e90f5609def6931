"""Arguments of commands that read failure reports from files or from stdin."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.input import read_stdin
from flashwasm.cli.output import note
from flashwasm.errors import ShapeError
from flashwasm.qe.defects.failure_files import FailureFile, read_failure_file

__all__ = ["beside_failures", "failure_files_argument", "read_reports"]

# A file of this many bytes or more is not checked for being blank.
_BLANK_AT_MOST = 1 << 16

failure_files_argument = click.argument(
    "files",
    metavar="TRACEBACK|REPORT|-...",
    nargs=-1,
    required=True,
    type=ExistingPath(allow_dash=True),
)


def read_reports(files: tuple[Path, ...]) -> FailureFile:
    """Read all files in order; report flaky tests and unreadable parts on stderr."""
    each = [_read_one(file) for file in files]
    named = [f"{path}: {line}" for path, one in zip(files, each, strict=True) for line in one.notes]
    counts = [one.counted for one in each if one.counted is not None]
    whole = FailureFile(
        failures=[failure for one in each for failure in one.failures],
        flaky=[test for one in each for test in one.flaky],
        counted=sum(counts) if counts else None,
        notes=named,
    )
    for line in whole.notes:
        note(line)
    if whole.flaky:
        note(f"{len(whole.flaky)} flaky, passed at a later attempt: {', '.join(whole.flaky)}")
    return whole


def beside_failures(read: FailureFile) -> dict[str, Any]:
    """Return for JSON what the files contain besides failures."""
    return {
        "flaky": len(read.flaky),
        "flaky_tests": read.flaky,
        "counted": read.counted,
        "notes": read.notes,
    }


def _read_one(file: Path) -> FailureFile:
    """Read the failures of a file, or of stdin for "-"."""
    if str(file) != "-":
        return _not_empty(file, read_failure_file(file))
    with tempfile.TemporaryDirectory() as folder:
        # The reader goes back to the start of a report, which stdin does not allow.
        kept = Path(folder, "stdin")
        kept.write_bytes(read_stdin())
        return _not_empty(kept, read_failure_file(kept))


def _not_empty(file: Path, read: FailureFile) -> FailureFile:
    """Return what was read; refuse a blank file, since it does not show that all tests passed."""
    if file.stat().st_size < _BLANK_AT_MOST and not file.read_bytes().strip():
        raise ShapeError(f"{file.name} is empty; expected a report or a traceback")
    return read
