"""Coverage data in flashwasm's file format, with checksums for every byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.coverage.coverage_database import (
    MOST_JUMPS,
    MOST_LINES,
    CoverageData,
    read_coverage,
)
from flashwasm.qe.index_files.stored_index import (
    COVERAGE_KIND,
    StoredIndex,
    is_index,
    json_section,
    row_sections,
)
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container

__all__ = ["load_coverage", "read_coverage_file", "write_coverage_file"]

Array = npt.NDArray[Any]


def load_coverage(path: Path, progress: Callable[[int, int], None] | None = None) -> CoverageData:
    """Read a coverage.py database, or a file that `write_coverage_file` wrote.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.
    progress : callable, optional
        Function to call with the number of rows of a database read so far and their number.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If the file is damaged, or is neither of the two.
    """
    return read_coverage_file(path) if is_index(path) else read_coverage(path, progress)


def write_coverage_file(path: Path, data: CoverageData) -> None:
    """Write coverage data to one file, atomically."""
    document = {
        "files": data.files,
        "contexts": data.contexts,
        "source": [str(data.source), data.digest],
        "others": [[str(path), digest] for path, digest in data.others],
    }
    sections = {
        "coverage": json_section(document),
        "owners": np.array([*data.lines], np.int64).reshape(len(data.lines), 2),
        **row_sections("lines", list(data.lines.values())),
        "jump owners": np.array([*data.jumps], np.int64).reshape(len(data.jumps), 2),
        **row_sections("jumps", list(data.jumps.values())),
    }
    parameters = {"files": len(data.files), "contexts": len(data.contexts)}
    write_container(path, Container(COVERAGE_KIND, "", "", parameters, sections))


def read_coverage_file(path: Path) -> CoverageData:
    """Read a file that `write_coverage_file` wrote, or raise CorruptFileError."""
    file = StoredIndex(path, COVERAGE_KIND)
    document = file.document("coverage")
    try:
        files = file.strings("files", document["files"])
        contexts = file.strings("contexts", document["contexts"])
        [(source, digest)] = file.pairs("source", [document["source"]])
        # Files of earlier versions are from one database.
        others = file.pairs("others", document.get("others", []))
    except (AttributeError, KeyError, TypeError) as error:
        file.refuse(f"section 'coverage' is not coverage: {error}")

    def rows(name: str, owners_name: str, width: int) -> dict[tuple[int, int], Array]:
        owners = file.section(owners_name, "<i8", (None, 2))
        limits = [len(files), len(contexts)]
        if len(owners) and (owners.min() < 0 or (owners.max(0) >= limits).any()):
            file.refuse(f"one of the {name} belongs to no file or to no context")
        found = file.rows(name, len(owners), width)
        return {(int(f), int(c)): row for (f, c), row in zip(owners, found, strict=True)}

    # Files of earlier versions contain no jumps.
    jumps = rows("jumps", "jump owners", MOST_JUMPS) if file.has("jumps") else {}
    data = CoverageData(files, contexts, rows("lines", "owners", MOST_LINES), jumps=jumps)
    more = tuple((Path(path), digest) for path, digest in others)
    return replace(data, source=Path(source), digest=digest, others=more)
