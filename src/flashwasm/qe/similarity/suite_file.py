"""A suite on disk, with what compares its tests: the file behind `SuiteIndex.save`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.index_files.stored_index import (
    SUITE_KIND,
    StoredIndex,
    json_section,
    row_sections,
)
from flashwasm.qe.scoring.tfidf import FEATURES
from flashwasm.qe.suites.suite import CollectedTest, Skipped, Suite
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container

__all__ = [
    "Kept",
    "StoredVectors",
    "read_suite",
    "read_terms",
    "term_sections",
    "write_suite",
]

Array = npt.NDArray[Any]
_ARRAYS = ("data", "idf", "columns", "indices", "indptr")


@dataclass(frozen=True)
class StoredVectors:
    """Embeddings ``(n, dim)``, the folder of their model, and a digest of all they depend on."""

    vectors: Array
    model: str
    settings: str


@dataclass
class Kept:
    """What takes long to make of the tests, by the digest of what it was made from.

    Parameters
    ----------
    terms : dict of str to mapping
        Arrays of a `TfIdf` by its key.
    embeddings : StoredVectors or None
        Where the scorer by meaning runs.
    rows : list of numpy.ndarray or None
        Columns that each test runs, where coverage is compared.
    width : int
        How many columns there are.
    """

    terms: dict[str, Mapping[str, Array]] = field(default_factory=dict)
    embeddings: StoredVectors | None = None
    rows: list[Array] | None = None
    width: int = 0


def write_suite(path: Path, suite: Suite, scorers: list[str], kept: Kept) -> None:
    """Write a suite, the names of what compares its tests, and what that needs."""
    parameters: dict[str, Any] = {"tests": len(suite.tests), "scorers": scorers}
    document = {
        "root": str(suite.root),
        "path": str(suite.path),
        "tests": [[t.nodeid, str(t.path), t.source, t.line, list(t.also)] for t in suite.tests],
        "skipped": [[str(one.path), one.reason] for one in suite.skipped],
        "digests": [[str(file), digest] for file, digest in suite.digests.items()],
    }
    sections = {"suite": json_section(document)}
    parameters["terms"] = list(kept.terms)
    sections |= term_sections(kept.terms)
    if kept.embeddings is not None:
        parameters |= {"model": kept.embeddings.model, "settings": kept.embeddings.settings}
        sections["embeddings"] = kept.embeddings.vectors
    if kept.rows is not None:
        parameters["width"] = kept.width
        sections |= row_sections("coverage", kept.rows)
    write_container(path, Container(SUITE_KIND, "", "float32", parameters, sections))


def read_suite(path: Path) -> tuple[Suite, list[str], Kept]:
    """Return what `write_suite` wrote, or raise CorruptFileError."""
    file = StoredIndex(path, SUITE_KIND)
    suite = _suite(file)
    count = len(suite.tests)
    kept = Kept(read_terms(file, max(count, 1)))
    if file.has("embeddings"):
        vectors = file.floats("embeddings", (count, None))
        kept.embeddings = StoredVectors(vectors, file.text("model"), file.text("settings"))
    if file.has("coverage"):
        kept.width = file.number("width", 0, 2**62)
        kept.rows = file.rows("coverage", count, kept.width)
    return suite, file.strings("scorers", file.parameters.get("scorers")), kept


def _suite(file: StoredIndex) -> Suite:
    document = file.document("suite")
    try:
        tests = [
            CollectedTest(nodeid, Path(path), int(line), source, tuple(also))
            for (*texts, line, also) in document["tests"]
            for nodeid, path, source, *also in [file.strings("a test", [*texts, *also])]
        ]
        root, path = file.strings("the suite", [document["root"], document["path"]])
        skipped = file.pairs("skipped", document["skipped"])
        digests = file.pairs("digests", document["digests"])
    except (KeyError, TypeError, ValueError) as error:
        file.refuse(f"section 'suite' is no suite: {error}")
    return Suite(
        Path(root),
        tests,
        [Skipped(Path(one), reason) for one, reason in skipped],
        Path(path),
        {Path(one): digest for one, digest in digests},
    )


def term_sections(terms: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Return the sections that hold arrays of `TfIdf`; their keys are parameters."""
    sections: dict[str, Array] = {}
    for i, arrays in enumerate(terms.values()):
        sections |= {f"terms{i}.{name}": arrays[name] for name in _ARRAYS}
    return sections


def read_terms(file: StoredIndex, count: int) -> dict[str, Mapping[str, Array]]:
    """Return what `term_sections` made sections of, for ``count`` texts."""
    keys = file.strings("terms", file.parameters.get("terms"))
    return {key: _terms(file, f"terms{i}", count) for i, key in enumerate(keys)}


def _terms(file: StoredIndex, name: str, count: int) -> dict[str, Array]:
    """Return one `TfIdf`'s arrays; SciPy would follow their numbers without looking."""
    columns = file.section(f"{name}.columns", "<i4", (None,))
    indptr = file.section(f"{name}.indptr", "<i8", (None,))
    if len(indptr) != len(columns) + 1:
        file.refuse(f"{name!r} is not by column, or an earlier version wrote it; build it again")
    indices = file.section(f"{name}.indices", "<i4", (None,))
    arrays = {
        "data": file.floats(f"{name}.data", (len(indices),)),
        "idf": file.floats(f"{name}.idf", (len(columns),)),
        "columns": columns,
        "indices": indices,
        "indptr": indptr,
    }
    if len(columns) and (columns.min() < 0 or columns.max() >= FEATURES):
        file.refuse(f"a column of {name!r} is out of range")
    if len(indices) and (indices.min() < 0 or indices.max() >= count):
        file.refuse(f"an index of {name!r} is out of range")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        file.refuse(f"the columns of {name!r} do not end where they should")
    return arrays
