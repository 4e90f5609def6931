"""The file format of `FunctionIndex.save`: functions, and the data of their scorers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from flashwasm.qe.functions.function_collection import FunctionSource, program_files
from flashwasm.qe.index_files.stored_index import FUNCTION_KIND, StoredIndex, json_section
from flashwasm.qe.similarity.stored_scorers import (
    StoredEmbeddings,
    read_embeddings,
    read_tfidf,
    tfidf_sections,
)
from flashwasm.qe.suites.file_digests import changed_files
from flashwasm.qe.suites.source_files import Skipped
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container

__all__ = ["FunctionScorerData", "read_functions", "write_functions"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FunctionScorerData:
    """Origin of a program's functions, and the data that their scorers are built from.

    Parameters
    ----------
    path : pathlib.Path
        Folder or file that was read.
    digests : mapping of pathlib.Path to str
        `file_digest` of each file that was read.
    terms : mapping of str to mapping
        Arrays of the `TfIdfMatrix` of identifiers by its key; empty if embeddings are compared.
    embeddings : StoredEmbeddings or None
        Embeddings of all sources, then of all names; None if identifiers are compared.
    centre : numpy.ndarray of float32, shape (dim,), or None
        Mean embedding of the functions' descriptions; None if there are none.
    """

    path: Path = Path()
    digests: Mapping[Path, str] = field(default_factory=dict)
    terms: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    embeddings: StoredEmbeddings | None = None
    centre: Array | None = None

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since they were read."""
        return changed_files(self.digests, program_files(self.path, []))


def write_functions(
    path: Path, functions: list[FunctionSource], skipped: list[Skipped], data: FunctionScorerData
) -> None:
    """Write functions, and the data that their scorers are built from."""
    document = {
        "path": str(data.path),
        "functions": [[f.name, str(f.path), f.source, f.description, f.line] for f in functions],
        "skipped": [[str(one.path), one.reason] for one in skipped],
        "digests": [[str(file), digest] for file, digest in data.digests.items()],
    }
    parameters: dict[str, Any] = {"functions": len(functions), "terms": list(data.terms)}
    sections = {"functions": json_section(document), **tfidf_sections(data.terms)}
    if data.embeddings is not None:
        parameters |= {"model": data.embeddings.model, "settings": data.embeddings.settings}
        sections["embeddings"] = data.embeddings.vectors
    if data.centre is not None:
        sections["centre"] = data.centre
    write_container(path, Container(FUNCTION_KIND, "", "float32", parameters, sections))


def read_functions(path: Path) -> tuple[list[FunctionSource], list[Skipped], FunctionScorerData]:
    """Read the arguments of `write_functions` from a file; raise CorruptFileError if damaged."""
    file = StoredIndex(path, FUNCTION_KIND)
    document = file.document("functions")
    try:
        functions = [
            FunctionSource(name, Path(where), int(line), source, description)
            for *texts, line in document["functions"]
            for name, where, source, description in [file.strings("a function", texts)]
        ]
        [place] = file.strings("the path", [document["path"]])
        skipped = file.pairs("skipped", document["skipped"])
        digests = file.pairs("digests", document["digests"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        file.refuse(f"section 'functions' holds no functions: {error}")
    embeddings, centre = read_embeddings(file, 2 * len(functions)), None
    if embeddings is not None and file.has("centre"):
        centre = file.floats("centre", (embeddings.vectors.shape[1],))
    data = FunctionScorerData(
        Path(place),
        {Path(one): digest for one, digest in digests},
        read_tfidf(file, len(functions)),
        embeddings,
        centre,
    )
    return functions, [Skipped(Path(one), reason) for one, reason in skipped], data
