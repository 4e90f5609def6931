"""Notes on stderr about sources that a coverage database lacks or that have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.cli.output import note
from flashwasm.qe.coverage.gaps import measured_file
from flashwasm.qe.coverage.unmeasured_sources import is_in_package
from flashwasm.summaries import are, counted

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_index import CoverageIndex

__all__ = ["note_changed", "note_left_out", "note_unmeasured"]


def note_changed(database: Path, changed: list[str]) -> None:
    """Say on stderr if the lines of some sources may have other numbers than in the database."""
    if changed:
        note(
            f"{counted(len(changed), 'files')} changed since {database} was recorded, for example "
            f"{changed[0]}, so lines may be wrong; record it again with: pytest --fw-record DB"
        )


def note_unmeasured(index: CoverageIndex, changed: Mapping[str, set[int]], root: Path) -> None:
    """Name on stderr the changed Python files for which the database has no data."""
    unmeasured = [
        file
        for file, lines in changed.items()
        if lines and file.endswith(".py") and measured_file(index, file, root) is None
    ]
    if unmeasured:
        note(
            f"changed files without data in the database: {len(unmeasured)}, for example "
            f"{unmeasured[0]}"
        )


def note_left_out(outside: Sequence[str], unmeasured: Sequence[str], root: Path) -> None:
    """Name on stderr the sources outside of a folder, and those without data in the database."""
    if outside:
        files = counted(len(outside), "files")
        note(f"{files} outside {root} {are(len(outside))} left out, for example {outside[0]}")
    lost = [name for name in unmeasured if is_in_package(root / name, root)]
    others = [name for name in unmeasured if name not in lost]
    _note_lost(lost, "of the packages", "measure them with: pytest --fw-record DB")
    why = "coverage.py records such a file only if a test imports it"
    _note_lost(others, "in folders without __init__.py", why)


def _note_lost(files: Sequence[str], which: str, remedy: str) -> None:
    """Say on stderr that some files are not in the database, and what can be done."""
    if files:
        note(
            f"{counted(len(files), 'files')} {which} {are(len(files))} not in the database, for "
            f"example {files[0]}, so the gaps in them are not listed; {remedy}"
        )
