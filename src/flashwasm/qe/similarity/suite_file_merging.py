"""The union of suite files that several runs wrote, such as the jobs of a CI run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.qe.scoring.scorers import CoverageScorer
from flashwasm.qe.similarity.stored_scorers import StoredEmbeddings, SuiteScorerData
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.qe.suites.suite_merging import Place, merge_suites

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import Suite

__all__ = ["merge_suite_files"]


def merge_suite_files(
    paths: Sequence[Path], *, with_coverage: bool
) -> tuple[Suite, list[str], SuiteScorerData]:
    """Return the union of suite files: its tests, names of scorers, and embeddings.

    The weights of terms depend on all tests, so the data does not contain them.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files that `write_suite` wrote, at least one.
    with_coverage : bool
        True to ignore the coverage in the files, because the caller has coverage of the whole
        suite. The coverage in the files cannot be merged, because their columns differ.

    Raises
    ------
    ShapeError
        If the files cannot be merged.
    CorruptFileError, OSError
        If a file cannot be read.
    """
    names = [str(path) for path in paths]
    parts = [read_suite(path) for path in paths]
    suite, places = merge_suites([suite for suite, _, _ in parts], names)
    scorers = [
        [one for one in part_scorers if one != CoverageScorer.name] for _, part_scorers, _ in parts
    ]
    for (_, _, data), name in zip(parts, names, strict=True):
        if data.rows is not None and len(parts) > 1 and not with_coverage:
            raise ShapeError(
                f"{name} contains coverage, whose columns differ from file to file; merge the "
                "coverage first, and give the result as coverage (--coverage)"
            )
    for own, name in zip(scorers, names, strict=True):
        if own != scorers[0]:
            raise ShapeError(
                f"{names[0]} compares by {', '.join(scorers[0])}, and {name} by {', '.join(own)}; "
                "expected files that were built with the same scorers and the same model"
            )
    data = SuiteScorerData(embeddings=_embeddings([data for _, _, data in parts], names, places))
    if len(parts) == 1 and not with_coverage:
        data.rows, data.width = parts[0][2].rows, parts[0][2].width
    return suite, scorers[0], data


def _embeddings(
    parts: Sequence[SuiteScorerData], names: Sequence[str], places: Sequence[Place]
) -> StoredEmbeddings | None:
    """Return the embeddings of the merged tests; None if no file has any."""
    known = [(i, part.embeddings) for i, part in enumerate(parts) if part.embeddings is not None]
    if not known:
        return None
    (at, first), *others = known
    for i, other in others:
        if other.settings != first.settings:
            raise ShapeError(
                f"the tests of {names[at]} and {names[i]} were embedded by different models, in "
                "another precision or by other kernels; expected one model, precision and variant"
            )
    vectors = {i: part.vectors for i, part in known}
    rows = [vectors[place.part][place.position] for place in places]
    return StoredEmbeddings(np.stack(rows), first.model, first.settings)
