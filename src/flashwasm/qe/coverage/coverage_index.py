"""An exact inverted index of coverage, to look up the tests that run a line and similar tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flashwasm.errors import ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_file import load_coverage, write_coverage_file
from flashwasm.qe.coverage.coverage_lookup import CoverageLookup
from flashwasm.qe.coverage.coverage_match import CoverageMatch
from flashwasm.qe.coverage.coverage_merging import merge_coverage
from flashwasm.qe.coverage.rootdir_names import names_from
from flashwasm.storage.file_paths import checked_path, checked_paths
from flashwasm.validation import flag

__all__ = ["CoverageIndex", "CoverageMatch"]


class CoverageIndex(CoverageLookup):
    """An index of tests by the lines that they run. Create it with `load` or `merge`.

    Parameters
    ----------
    data : CoverageData
        Coverage with a context for each test.

    Attributes
    ----------
    tests : list of str
        Node ids of the tests with a context.
    files : list of str
        Paths as coverage.py recorded them.

    Raises
    ------
    ShapeError, DTypeError
        By every method, if an argument is out of range or of the wrong type.
    OSError
        By `save`, if the file cannot be written.
    """

    @classmethod
    def load(
        cls, path: str | Path, *, rootdir: str | Path | None = None, progress: bool = False
    ) -> CoverageIndex:
        """Load a database that coverage.py recorded with contexts, or a file that `save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file, usually ``.coverage``. Both ``pytest --fw-record .coverage`` and
            ``pytest --cov=PKG --cov-context=test`` write such a database.
        rootdir : str or pathlib.Path, optional
            pytest's rootdir, which node ids are relative to. Give it if the database may have been
            recorded in a folder above: node ids in it then begin with more folders, and are
            changed to those that pytest uses with this rootdir.
        progress : bool, default False
            True to show progress on stderr.

        Returns
        -------
        CoverageIndex

        Raises
        ------
        ShapeError
            If there is no such file, or it contains no test contexts.
        CorruptFileError
            If the file is damaged, or is neither of the two.
        """
        with progress_report("reading coverage", show=flag(progress, "progress")) as advance:
            data = load_coverage(checked_path(path), advance)
            if rootdir is not None:
                data = names_from(data, checked_path(rootdir, "rootdir"))
            index = cls(data)
        if not index.tests:
            raise ShapeError(f"{path} has no test contexts; record it with: pytest --fw-record DB")
        return index

    @classmethod
    def merge(cls, paths: Sequence[str | Path], *, progress: bool = False) -> CoverageIndex:
        """Load several databases or files, and return the index of their union.

        As with ``coverage combine``, a test runs a line if it ran the line in any of the files.
        Sources are identified by their recorded paths. If the files were recorded in different
        folders, use coverage.py's setting ``relative_files``, so that the paths are equal.

        Parameters
        ----------
        paths : sequence of str or pathlib.Path
            Paths of the files, at least one, each as for `load`.
        progress : bool, default False
            True to show progress on stderr.

        Raises
        ------
        ShapeError
            If ``paths`` is empty, a file does not exist, or no file contains test contexts.
        CorruptFileError
            If a file is damaged, or contains no coverage.
        """
        parts = []
        for path in checked_paths(paths, "paths"):
            with progress_report(f"reading {path.name}", show=flag(progress, "progress")) as report:
                parts.append(load_coverage(path, report))
        index = cls(merge_coverage(parts))
        if not index.tests:
            raise ShapeError(
                f"paths: {', '.join(map(str, paths))} have no test contexts; record them with: "
                "pytest --fw-record DB"
            )
        return index

    def save(self, path: str | Path) -> None:
        """Write the coverage to one file with checksums, atomically.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file to write.
        """
        write_coverage_file(checked_path(path), self._data)

    def changes(self) -> list[str]:
        """Return the paths of the databases that were changed or removed since they were read."""
        return self._data.changes()
