"""Inspection of a file: its kind, facts about its content, and a check for damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashwasm.adapt import LoRAAdapter, Whitening
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.coverage.coverage_database import read_coverage
from flashwasm.qe.coverage.coverage_file import read_coverage_file
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.functions.function_index_file import read_functions
from flashwasm.qe.index_files.stored_index import COVERAGE_KIND, FUNCTION_KIND, SUITE_KIND
from flashwasm.qe.similarity.suite_index_file import read_suite
from flashwasm.search import FlatIndex, HNSWIndex, ShardedIndex
from flashwasm.storage.digests import sha256_of
from flashwasm.storage.file_format import VERSION, Section
from flashwasm.storage.file_reading import container_kind, container_sections, read_container
from flashwasm.storage.foreign_database import one_line

__all__ = [
    "COVERAGE_DATABASE",
    "FAILURE_LIBRARY",
    "FileReport",
    "inspect_file",
    "kind_of",
    "verify_file",
]

_SQLITE = b"SQLite format 3\0"
# Kinds of files that are SQLite databases.
FAILURE_LIBRARY, COVERAGE_DATABASE = "failure-library", "coverage-database"


@dataclass(frozen=True)
class FileReport:
    """Description of a file.

    Parameters
    ----------
    kind : str
        Kind of the file, such as "suite-index" or "failure-library".
    version : int
        Version of the file's format.
    nbytes : int
        Length of the file in bytes.
    sha256 : str
        Digest of the file.
    facts : mapping
        Settings that the file was made with, and counts of its content.
    sections : list of Section
        Arrays in the file, each with its CRC-32. A SQLite file has none.
    """

    kind: str
    version: int
    nbytes: int
    sha256: str
    facts: Mapping[str, Any]
    sections: list[Section] = field(default_factory=list)


def inspect_file(path: str | Path) -> FileReport:
    """Describe a file. This verifies the checksums, but not the consistency of the content.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the file.

    Returns
    -------
    FileReport

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If it is not a flashwasm file, or is truncated, changed or of a later version.
    """
    file = Path(path)
    if not file.is_file():
        raise ShapeError(f"{str(file)!r} does not exist or is not a file; expected an index file")
    kind = kind_of(file)
    sections: list[Section] = []
    if kind not in {FAILURE_LIBRARY, COVERAGE_DATABASE}:
        content = read_container(file, kind)
        facts = dict(content.parameters)
        facts |= {"metric": content.metric} if content.metric else {}
        facts |= {"dtype": content.dtype} if content.dtype else {}
        version, sections = VERSION, container_sections(file)
    else:
        version, facts = _database(file, kind)
    return FileReport(
        kind=kind,
        version=version,
        nbytes=file.stat().st_size,
        sha256=sha256_of(file),
        facts=facts,
        sections=sections,
    )


def verify_file(path: str | Path) -> list[str]:
    """Verify the checksums of a file and the consistency of its content.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the file.

    Returns
    -------
    list of str
        Sources of the file that have changed since it was made; empty if the file does not record
        its sources.

    Raises
    ------
    ShapeError, CorruptFileError
        As in `inspect_file`, or if parts of the content contradict each other.
    """
    file = Path(path)
    kind = inspect_file(file).kind
    if kind == SUITE_KIND:
        return read_suite(file)[0].changes()
    if kind == FUNCTION_KIND:
        return read_functions(file)[2].changes()
    if kind == COVERAGE_KIND:
        return read_coverage_file(file).changes()
    loaders: dict[str, Callable[[Path], object]] = {
        "flat-index": FlatIndex.load,
        "hnsw-index": HNSWIndex.load,
        "sharded-index": _check_shards,
        "lora-adapter": LoRAAdapter.load,
        "whitening": Whitening.load,
        FAILURE_LIBRARY: _check_pages,
        COVERAGE_DATABASE: _check_pages,
    }
    if kind not in loaders:
        raise CorruptFileError(
            f"{file}: this release knows no file of kind {kind}; use the release that wrote it"
        )
    loaders[kind](file)
    return []


def kind_of(path: Path) -> str:
    """Return the kind of a file, as in `FileReport`, from its first bytes.

    Raises
    ------
    CorruptFileError
        If it is neither a flashwasm file nor a SQLite database.
    """
    if (kind := container_kind(path)) is not None:
        return kind
    with path.open("rb") as content:
        if content.read(len(_SQLITE)) != _SQLITE:
            raise CorruptFileError(
                f"{path} is neither a file of flashwasm nor a database; "
                "`flashwasm index build` writes such files"
            )
    is_library = _pragma(path, "application_id") == FailureLibrary.APPLICATION_ID
    return FAILURE_LIBRARY if is_library else COVERAGE_DATABASE


def _database(file: Path, kind: str) -> tuple[int, dict[str, Any]]:
    """Return the version and counts of a SQLite file."""
    if kind == FAILURE_LIBRARY:
        library = FailureLibrary(file)
        return library.VERSION, {"defects": len(library), "occurrences": library.occurrences}
    data = read_coverage(file)
    counts = {"files": len(data.files), "contexts": len(data.contexts), "rows": len(data.lines)}
    return data.schema, counts


def _pragma(file: Path, name: str) -> object:
    """Return the value of a SQLite pragma."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(f"pragma {name}").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise CorruptFileError(
            f"{file} is not a whole database: {one_line(error)}; make it again"
        ) from error


def _check_shards(file: Path) -> None:
    """Open a sharded index, which checks its shards against its records."""
    ShardedIndex.load(file).close()


def _check_pages(file: Path) -> None:
    """Run SQLite's own integrity check, because its pages have no checksums."""
    if (found := _pragma(file, "integrity_check")) != "ok":
        raise CorruptFileError(f"{file} is damaged: {found}")
