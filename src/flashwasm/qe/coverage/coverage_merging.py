"""The union of coverage that several runs recorded, such as the jobs of a CI run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.coverage_matrix import union

__all__ = ["merge_coverage"]

Array = npt.NDArray[Any]
Rows = dict[tuple[int, int], Array]


def merge_coverage(parts: Sequence[CoverageData]) -> CoverageData:
    """Return the union of coverage data, as ``coverage combine`` does for databases.

    Parameters
    ----------
    parts : sequence of CoverageData
        Data of the runs, at least one. A line ran in a context if it did in any of the runs.
    """
    files = sorted({file for part in parts for file in part.files})
    contexts = list(dict.fromkeys(context for part in parts for context in part.contexts))
    file_at = {file: i for i, file in enumerate(files)}
    context_at = {context: i for i, context in enumerate(contexts)}

    def merged(rows: Sequence[Rows]) -> Rows:
        found: dict[tuple[int, int], list[Array]] = {}
        for part, own in zip(parts, rows, strict=True):
            for (file, context), numbers in own.items():
                key = file_at[part.files[file]], context_at[part.contexts[context]]
                found.setdefault(key, []).append(numbers)
        return {key: union(some) for key, some in sorted(found.items())}

    sources = dict.fromkeys(source for part in parts for source in part.sources)
    (first, *others) = sources
    return CoverageData(
        files,
        contexts,
        merged([part.lines for part in parts]),
        source=first[0],
        digest=first[1],
        others=tuple(others),
        jumps=merged([part.jumps for part in parts]),
    )
