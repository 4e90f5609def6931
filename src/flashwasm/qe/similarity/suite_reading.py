"""Suites that have been read from folders or index files, before their tests are embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flashwasm.object_checks import instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.scoring.scorers import CoverageScorer
from flashwasm.qe.similarity.scorer_builder import (
    ALL_SCORERS,
    DEFAULT_SCORERS,
    ScorerBuilder,
    embedder_in_background,
)
from flashwasm.qe.similarity.stored_scorers import SuiteScorerData
from flashwasm.qe.similarity.suite_file_merging import merge_suite_files
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.qe.suites.collection import collect
from flashwasm.storage.file_paths import checked_path, checked_paths
from flashwasm.validation import choice, flag

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.scoring.embedder import Embedder
    from flashwasm.qe.similarity.scorer_builder import ScorerName
    from flashwasm.qe.suites.suite import Suite
    from flashwasm.runtime.runtime import Runtime

__all__ = ["IndexSettings", "SuiteReading", "read_folder", "read_index_file", "read_index_files"]

T = TypeVar("T")


@dataclass(frozen=True)
class IndexSettings:
    """Settings of embedding and comparing tests, as the arguments of `SuiteIndex.build`."""

    model: str | Path | SentenceEncoder | None = None
    runtime: Runtime | None = None
    adapted: bool = True
    progress: bool = False
    cache: bool = True

    def __post_init__(self) -> None:
        flag(self.adapted, "adapted")
        flag(self.progress, "progress")


@dataclass(frozen=True)
class SuiteReading:
    """A suite that has been read, and the settings of its scorers.

    To embed the tests of a large suite may take minutes. So a caller can check a query against
    ``suite`` before it calls `index`.

    Attributes
    ----------
    suite : Suite
        The tests.
    data : SuiteScorerData
        Data of the scorers that are known already.
    names, needed : sequence of str
        Names of the scorers to build, and of those that are required.
    settings : IndexSettings
        How the tests are embedded and compared.
    embedder : callable, optional
        As for `ScorerBuilder`.
    """

    suite: Suite
    data: SuiteScorerData
    names: Sequence[str]
    needed: Sequence[str]
    settings: IndexSettings
    embedder: Callable[[], Embedder] | None = None

    def index(self, make: Callable[..., T]) -> T:
        """Build the scorers, and return the index that ``make``, the class, makes of them.

        Raises
        ------
        CapabilityError
            As for `ScorerBuilder.scorers`.
        """
        suite, data, given = self.suite, self.data, self.settings
        sources = [test.source for test in suite.tests]
        root = suite.root if given.adapted else None
        builder = ScorerBuilder(sources, given.model, given.runtime, data, root, self.embedder)
        built, missing = builder.scorers(
            self.names, needed=self.needed, progress=given.progress, cache=given.cache
        )
        return make(suite, built, [*missing, *builder.notes], data, builder.adaptation)


def read_folder(
    path: str | Path,
    settings: IndexSettings,
    scorers: Sequence[ScorerName] | None = None,
    coverage: CoverageIndex | None = None,
) -> SuiteReading:
    """Collect the tests in a folder or a file. The arguments are those of `SuiteIndex.build`."""
    for name in scorers or ():
        choice(name, "scorers", ALL_SCORERS)
    names, model, cache = scorers or DEFAULT_SCORERS, settings.model, settings.cache
    # A thread hashes the model's files while the suite is read.
    opened = None
    if "meaning" in names:
        opened = embedder_in_background(model, settings.runtime, cache=cache)
    with progress_report("reading the suite", show=settings.progress) as advance:
        suite = collect(path, cache=cache, progress=advance)
    data = SuiteScorerData()
    _add_coverage(data, suite, coverage)
    needed = scorers or (["meaning"] if model is not None else [])
    return SuiteReading(suite, data, names, needed, settings, opened)


def read_index_file(path: str | Path, settings: IndexSettings) -> SuiteReading:
    """Read a file that `SuiteIndex.save` wrote."""
    suite, stored, data = read_suite(checked_path(path))
    names = [name for name in stored if name != CoverageScorer.name]
    return SuiteReading(suite, data, names, names, settings)


def read_index_files(
    paths: Sequence[str | Path], settings: IndexSettings, coverage: CoverageIndex | None = None
) -> SuiteReading:
    """Read and merge files of parts of a suite. The arguments are those of `SuiteIndex.merge`."""
    files = checked_paths(paths, "paths")
    suite, names, data = merge_suite_files(files, with_coverage=coverage is not None)
    _add_coverage(data, suite, coverage)
    return SuiteReading(suite, data, names, names, settings)


def _add_coverage(data: SuiteScorerData, suite: Suite, coverage: CoverageIndex | None) -> None:
    """Add the lines that the tests of a suite run to the data of its scorers."""
    if coverage is not None and instance_of(coverage, CoverageIndex, "coverage") and suite.tests:
        likeness = coverage.likeness([(test.nodeid, *test.also) for test in suite.tests])
        data.rows, data.width = likeness.rows, likeness.width
