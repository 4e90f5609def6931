"""The coverage of a suite, from the database that ``--coverage`` names."""

from __future__ import annotations

from pathlib import Path

from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir

__all__ = ["suite_coverage"]


def suite_coverage(database: Path | None, path: Path | None) -> CoverageIndex | None:
    """Return the coverage in a database, with the node ids of a suite; None without a database.

    Parameters
    ----------
    database : pathlib.Path or None
        Path of the database.
    path : pathlib.Path or None
        Folder or file of the suite; None if the suite is in an index file.
    """
    if database is None:
        return None
    rootdir = None if path is None else pytest_rootdir(path.absolute())
    return CoverageIndex.load(database, rootdir=rootdir, progress=True)
