"""The index of a suite, to find the tests most similar to a test or a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.qe.similarity.suite_index_file import write_suite
from flashwasm.qe.similarity.suite_reading import (
    IndexSettings,
    read_folder,
    read_index_file,
    read_index_files,
)
from flashwasm.qe.similarity.suite_search import SuiteSearch
from flashwasm.storage.file_paths import checked_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.coverage.coverage_index import CoverageIndex
    from flashwasm.qe.similarity.scorer_builder import ScorerName
    from flashwasm.runtime.runtime import Runtime

__all__ = ["SuiteIndex"]


class SuiteIndex(SuiteSearch, items="tests"):
    """A searchable index of a suite's tests. Create it with `build`, `load` or `merge`.

    Parameters
    ----------
    suite : Suite
        The tests.
    scorers : sequence of Scorer
        Scorers that compare the tests.
    missing : sequence of str, default ()
        Packages or models that further scorers require, and how to install them.
    data : SuiteScorerData, optional
        Data that the scorers were built from, for `save`; None saves the tests only.
    adaptation : int, optional
        Version of the adaptation in use; None if there is none.

    Attributes
    ----------
    root : pathlib.Path
        Folder that node ids are relative to: pytest's rootdir.
    path : pathlib.Path
        Folder or file that the tests were collected from.
    tests : list of CollectedTest
        The tests.
    skipped : list of Skipped
        Files that could not be read, and the reasons.
    scorers : list of str
        Names of the scorers.
    """

    @classmethod
    def build(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        scorers: Sequence[ScorerName] | None = None,
        coverage: CoverageIndex | None = None,
        adapted: bool = True,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Collect the tests in a folder, and build the scorers that compare them.

        Parameters
        ----------
        path : str or pathlib.Path
            A folder of pytest tests, or one file. flashwasm does not import it.
        model : str, pathlib.Path or SentenceEncoder, optional
            Name of an installed model, folder of a BERT-family model, or an encoder. None is the
            default model; if it is not installed, only the other scorers are used.
        scorers : sequence of str, optional
            Names of scorers: "characters", "identifiers", "structure" or "meaning". None is
            "characters", "structure" and "meaning", except those with a missing package or model.
        coverage : CoverageIndex, optional
            Lines that each test runs, to compare coverage as well.
        adapted : bool, default True
            True to use the suite's active adaptation to feedback, if there is one.
        progress : bool, default False
            True to show progress on stderr.
        cache : bool, default True
            True to keep embeddings, terms and outlines in the user's cache folder.
        runtime : Runtime, optional
            Runtime that embeds and compares. None means the default runtime.

        Raises
        ------
        CapabilityError
            If the given model, or a package for a given scorer, is not installed, or if no scorer
            can be built.
        ShapeError
            If the path or a scorer does not exist.

        Examples
        --------
        >>> index = SuiteIndex.build("tests")  # doctest: +SKIP
        >>> index.similar("an edge is added twice", k=3)[0].nodeid  # doctest: +SKIP
        'tests/test_graph.py::TestGraph::test_add_edge_twice'
        """
        settings = IndexSettings(model, runtime, adapted, progress, cache)
        return read_folder(path, settings, scorers, coverage).index(cls)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        adapted: bool = True,
        progress: bool = False,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Load an index that `save` wrote. The suite's source files are not read.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file.
        model : str, pathlib.Path or SentenceEncoder, optional
            As for `build`; None is the model that embedded the tests. A different model embeds the
            tests again. If no model is installed, queries must be node ids.
        adapted : bool, default True
            True to use the suite's active adaptation to feedback, if there is one.
        progress : bool, default False
            True to show progress on stderr.
        runtime : Runtime, optional
            Runtime that embeds and compares. None means the default runtime.

        Raises
        ------
        CorruptFileError, CapabilityError, OSError
        """
        settings = IndexSettings(model, runtime, adapted, progress)
        return read_index_file(path, settings).index(cls)

    @classmethod
    def merge(
        cls,
        paths: Sequence[str | Path],
        *,
        model: str | Path | SentenceEncoder | None = None,
        coverage: CoverageIndex | None = None,
        adapted: bool = True,
        progress: bool = False,
        runtime: Runtime | None = None,
    ) -> SuiteIndex:
        """Merge index files of parts of a suite into the index of the whole suite.

        The result finds the same tests as an index that `build` makes of the whole suite. The parts
        may overlap. Their tests are not embedded again.

        Parameters
        ----------
        paths : sequence of str or pathlib.Path
            Files that `save` wrote, at least one.
        model : str, pathlib.Path or SentenceEncoder, optional
            As for `load`.
        coverage : CoverageIndex, optional
            Lines that each test of the whole suite runs, required if the files contain coverage.
        adapted, progress : bool
            As for `load`.
        runtime : Runtime, optional
            Runtime that embeds and compares. None means the default runtime.

        Raises
        ------
        ShapeError
            If ``paths`` is empty; if the files are from suites with different roots, from different
            versions of a source, or were built with different scorers or models; or if they contain
            coverage but ``coverage`` is None.
        DTypeError, CorruptFileError, CapabilityError, OSError
        """
        settings = IndexSettings(model, runtime, adapted, progress)
        return read_index_files(paths, settings, coverage).index(cls)

    def save(self, path: str | Path) -> None:
        """Write the tests and the data of the scorers to one file, atomically."""
        write_suite(checked_path(path), self._suite, self.scorers, self._data)

    def changes(self) -> list[str]:
        """Return the files of the suite that were changed, removed or added since reading."""
        return self._suite.changes()
