"""The functions of a program on disk: the file behind `FunctionIndex.save`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from flashwasm.qe.index_files.stored_index import FUNCTION_KIND, StoredIndex, json_section
from flashwasm.qe.similarity.suite_file import StoredVectors, read_terms, term_sections
from flashwasm.qe.suites.sources import changed_files
from flashwasm.qe.suites.suite import Skipped, is_test_file, walk_files
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container

__all__ = [
    "FunctionSource",
    "KeptFunctions",
    "absolute",
    "program_files",
    "read_functions",
    "write_functions",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FunctionSource:
    """A function or method.

    Parameters
    ----------
    name : str
        Its qualified name.
    path : pathlib.Path
        Its file.
    line : int
        The line of its ``def``, from 1.
    source : str
        Its source without decorators.
    description : str
        The first paragraph of its docstring; "" where it has none.
    """

    name: str
    path: Path
    line: int
    source: str
    description: str = ""


@dataclass(frozen=True)
class KeptFunctions:
    """Where functions are from, and what takes long to make of them.

    Parameters
    ----------
    path : pathlib.Path
        The folder or file that was read.
    digests : mapping of pathlib.Path to str
        Its files, with what tells their content from another.
    terms : mapping of str to mapping
        Arrays of a `TfIdf` by its key, where identifiers are compared.
    embeddings : StoredVectors or None
        Where meaning is compared: of the sources, then of the names.
    centre : numpy.ndarray or None
        Mean of the embeddings of descriptions.
    """

    path: Path
    digests: Mapping[Path, str]
    terms: Mapping[str, Mapping[str, Array]]
    embeddings: StoredVectors | None
    centre: Array | None

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since."""
        return changed_files(self.digests, program_files(self.path, []))


def absolute(path: str | Path) -> Path:
    """Return a path from the root, whose links keep their names."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve would follow the links.


def program_files(path: str | Path, skipped: list[Skipped]) -> list[Path]:
    """Return the files below a path that may hold functions, tests left out."""
    root = absolute(path)
    if not root.is_dir():
        return [root]
    return [file for file in walk_files(root, skipped, ["*.py"]) if not is_test_file(file)]


def write_functions(
    path: Path, functions: list[FunctionSource], skipped: list[Skipped], kept: KeptFunctions
) -> None:
    """Write functions and what compares them with words."""
    document = {
        "path": str(kept.path),
        "functions": [[f.name, str(f.path), f.source, f.description, f.line] for f in functions],
        "skipped": [[str(one.path), one.reason] for one in skipped],
        "digests": [[str(file), digest] for file, digest in kept.digests.items()],
    }
    parameters: dict[str, Any] = {"functions": len(functions), "terms": list(kept.terms)}
    sections = {"functions": json_section(document), **term_sections(kept.terms)}
    if kept.embeddings is not None:
        parameters |= {"model": kept.embeddings.model, "settings": kept.embeddings.settings}
        sections["embeddings"] = kept.embeddings.vectors
    if kept.centre is not None:
        sections["centre"] = kept.centre
    write_container(path, Container(FUNCTION_KIND, "", "float32", parameters, sections))


def read_functions(path: Path) -> tuple[list[FunctionSource], list[Skipped], KeptFunctions]:
    """Return what `write_functions` wrote, or raise CorruptFileError."""
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
    except (KeyError, TypeError, ValueError) as error:
        file.refuse(f"section 'functions' holds none: {error}")
    embeddings = centre = None
    if file.has("embeddings"):
        vectors = file.floats("embeddings", (2 * len(functions), None))
        embeddings = StoredVectors(vectors, file.text("model"), file.text("settings"))
        if file.has("centre"):
            centre = file.floats("centre", (vectors.shape[1],))
    kept = KeptFunctions(
        Path(place),
        {Path(one): digest for one, digest in digests},
        read_terms(file, len(functions)),
        embeddings,
        centre,
    )
    return functions, [Skipped(Path(one), reason) for one, reason in skipped], kept
