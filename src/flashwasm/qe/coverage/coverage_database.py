"""A reader of coverage.py's databases, by their documented schema.

A database is a SQLite file. For each source file and context, it contains one bit for each line,
which is set if the line ran: https://coverage.readthedocs.io/en/latest/dbschema.html, and the
module ``coverage.numbits``. Reading it requires neither coverage.py nor the sources.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CorruptFileError, DeadlineExceeded, ShapeError
from flashwasm.storage.digests import digest_of, sha256_of
from flashwasm.storage.foreign_database import check_database, one_line

__all__ = ["MOST_JUMPS", "MOST_LINES", "CoverageData", "read_coverage"]

Array = npt.NDArray[Any]
_SCHEMA = 7
# Advice at the end of an error message about a missing or damaged database.
_REMEDY = "record it with: pytest --fw-record DB"
# Maximum number of lines of a source file. A longer bit field is damage.
MOST_LINES = 1 << 24
# Number of different jumps between two lines, where a line may be negative or 0, or `MOST_LINES`.
MOST_JUMPS = (2 * MOST_LINES + 1) ** 2
# Number of rows between two reports of progress.
_ROWS_BETWEEN = 256


@dataclass(frozen=True)
class CoverageData:
    """The content of a database: the lines that ran in each context.

    Parameters
    ----------
    files : list of str
        Paths as coverage.py recorded them.
    contexts : list of str
        Names of the contexts. "" is the context of lines that ran outside all tests.
    lines : dict of (int, int) to numpy.ndarray
        Numbers of the lines that ran, ascending. The key is the position of the file and the
        position of the context.
    source : pathlib.Path
        Path of the database.
    digest : str
        SHA-256 of the database at the time of reading.
    schema : int
        Version of its schema.
    others : tuple of (pathlib.Path, str)
        Paths and digests of the other databases, if the content is merged from several.
    jumps : dict of (int, int) to numpy.ndarray
        If branches were measured, the jumps between lines, ascending, with the keys of ``lines``.
        Each is one number below `MOST_JUMPS`, made of its two lines.
    """

    files: list[str]
    contexts: list[str]
    lines: dict[tuple[int, int], Array]
    source: Path = Path()
    digest: str = ""
    schema: int = _SCHEMA
    others: tuple[tuple[Path, str], ...] = ()
    jumps: dict[tuple[int, int], Array] = field(default_factory=dict)

    @property
    def sources(self) -> list[tuple[Path, str]]:
        """Path and digest of each database with part of the content."""
        return [(self.source, self.digest), *self.others]

    def changes(self) -> list[str]:
        """Return the paths of the databases that have changed or disappeared since reading."""
        return [str(path) for path, digest in self.sources if digest_of(path) != digest]


def read_coverage(
    path: str | Path, progress: Callable[[int, int], None] | None = None
) -> CoverageData:
    """Read a database.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of a file that coverage.py wrote, usually ``.coverage``.
    progress : callable, optional
        Function to call with the number of rows read so far and the number of rows.

    Returns
    -------
    CoverageData

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If it is not a database of coverage.py, is damaged, or has another schema.
    DeadlineExceeded
        If another program has locked it.
    """
    file = Path(path)
    if not file.is_file():
        raise ShapeError(
            f"coverage database {str(file)!r} does not exist or is not a file; {_REMEDY}"
        )
    try:
        uri = f"{file.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            data = _read(database, progress or _ignored)
        return replace(data, source=file.resolve(), digest=sha256_of(file))
    except CorruptFileError as error:
        raise CorruptFileError(f"{file}: {error}; {_REMEDY}") from error
    except sqlite3.Error as error:
        if "locked" in str(error):
            # SQLite has waited for some seconds for another program that writes to the file.
            message = f"{file} is locked: another program writes it, such as a run of tests"
            raise DeadlineExceeded(f"{message}; try again when that has ended") from error
        raise CorruptFileError(
            f"{file} is not a whole coverage database: {one_line(error)}; {_REMEDY}"
        ) from error
    except (UnicodeDecodeError, OverflowError, TypeError, ValueError, KeyError) as error:
        raise CorruptFileError(
            f"{file} is a damaged coverage database: {one_line(error)}; {_REMEDY}"
        ) from error


def _read(database: sqlite3.Connection, progress: Callable[[int, int], None]) -> CoverageData:
    """Read all tables of a database."""
    check_database(database)
    (version,) = database.execute("select version from coverage_schema").fetchone() or (None,)
    if version != _SCHEMA:
        raise CorruptFileError(
            f"the schema is version {version!r:.40}; this release reads version {_SCHEMA}"
        )
    files = _names(database, "select id, path from file order by path")
    contexts = _names(database, "select id, context from context order by id")
    file_at = {number: i for i, number in enumerate(files)}
    context_at = {number: i for i, number in enumerate(contexts)}
    lines: dict[tuple[int, int], Array] = {}
    (line_rows, arc_rows) = database.execute(
        "select (select count(*) from line_bits), (select count(*) from arc)"
    ).fetchone()
    total = line_rows + arc_rows
    query = "select file_id, context_id, numbits from line_bits"
    for done, (file, context, bits) in enumerate(database.execute(query)):
        if done % _ROWS_BETWEEN == 0:
            progress(done, total)
        raw = np.frombuffer(bits, np.uint8)
        if len(raw) > MOST_LINES // 8:
            raise CorruptFileError(
                f"a source file has {8 * len(raw)} lines; expected at most {MOST_LINES}"
            )
        numbers = np.flatnonzero(np.unpackbits(raw, bitorder="little"))
        lines[file_at[file], context_at[context]] = numbers
    # With branch measurement, coverage.py records jumps between lines instead of lines. A negative
    # number is the entry or the exit of a code object.
    arcs: dict[tuple[int, int], set[int]] = defaultdict(set)
    jumps: dict[tuple[int, int], set[int]] = defaultdict(set)
    query = "select file_id, context_id, fromno, tono from arc"
    for done, (file, context, start, end) in enumerate(database.execute(query), line_rows):
        if done % _ROWS_BETWEEN == 0:
            progress(done, total)
        if not (_is_end_of_jump(start) and _is_end_of_jump(end)):
            raise CorruptFileError(
                f"a jump leads from line {start!r:.40} to {end!r:.40}; "
                f"expected integers of at most {MOST_LINES}"
            )
        key = file_at[file], context_at[context]
        arcs[key].update(n for n in (start, end) if n > 0)
        jumps[key].add((start + MOST_LINES) * (2 * MOST_LINES + 1) + end + MOST_LINES)
    for key, numbers_of_arcs in arcs.items():
        lines[key] = np.array(sorted(numbers_of_arcs), np.int64)
    return CoverageData(
        list(files.values()),
        list(contexts.values()),
        lines,
        jumps={key: np.array(sorted(some), np.int64) for key, some in jumps.items()},
    )


def _is_end_of_jump(line: object) -> bool:
    """Return True if a value is a line, or the negative number of a code object's first line."""
    return type(line) is int and -MOST_LINES <= line <= MOST_LINES


def _names(database: sqlite3.Connection, query: str) -> dict[int, str]:
    """Return the rows of a query as a dict from numbers to names."""
    names = dict(database.execute(query))
    for number, name in names.items():
        if type(number) is not int or not isinstance(name, str) or "\0" in name:
            raise CorruptFileError(
                f"number {number!r:.40} has the name {name!r:.40}; expected text"
            )
    return names


def _ignored(_done: int, _total: int) -> None:
    """Ignore progress. This is the default callback."""
