"""Reads coverage.py databases by their documented schema.

https://coverage.readthedocs.io/en/latest/dbschema.html and ``coverage.numbits``: SQLite, with a bit
for each line of a file that ran in a context. Reading it needs neither coverage.py nor the sources.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.storage.digests import sha256_of

__all__ = ["MOST_LINES", "CoverageData", "read_coverage"]

Array = npt.NDArray[Any]
_SCHEMA = 7
# No source file has lines beyond this; a longer bit field is damage.
MOST_LINES = 1 << 24


@dataclass(frozen=True)
class CoverageData:
    """What a database holds.

    Parameters
    ----------
    files : list of str
        Paths as recorded.
    contexts : list of str
        Contexts; "" is what ran outside all tests.
    lines : dict of (int, int) to numpy.ndarray
        Line numbers, ascending, by positions of file and context.
    source : pathlib.Path
        The database.
    schema : int
        Version of its schema.
    digest : str
        SHA-256 of its content when it was read.
    """

    files: list[str]
    contexts: list[str]
    lines: dict[tuple[int, int], Array]
    source: Path = Path()
    digest: str = ""
    schema: int = _SCHEMA

    def changes(self) -> list[str]:
        """Return the database's path where it was changed or removed since."""
        whole = self.source.is_file() and sha256_of(self.source) == self.digest
        return [] if whole else [str(self.source)]


def read_coverage(path: str | Path) -> CoverageData:
    """Read a database.

    Parameters
    ----------
    path : str or pathlib.Path
        A file that coverage.py wrote, usually ``.coverage``.

    Raises
    ------
    ShapeError
        If there is no such file.
    CorruptFileError
        If it is no database of coverage.py, damaged, or of another schema.
    """
    file = Path(path)
    if not file.is_file():
        raise ShapeError(f"coverage database {str(file)!r} does not exist or is no file")
    try:
        uri = f"{file.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            data = _read(database)
        return replace(data, source=file.resolve(), digest=sha256_of(file))
    except sqlite3.Error as error:
        raise CorruptFileError(f"{file} is not a whole coverage database: {error}") from error
    except (UnicodeDecodeError, OverflowError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, CorruptFileError):
            raise
        raise CorruptFileError(f"{file} is a damaged coverage database: {error}") from error


def _read(database: sqlite3.Connection) -> CoverageData:
    (version,) = database.execute("select version from coverage_schema").fetchone() or (None,)
    if version != _SCHEMA:
        raise CorruptFileError(f"its schema is version {version}; {_SCHEMA} can be read")
    files = dict(database.execute("select id, path from file order by path"))
    contexts = dict(database.execute("select id, context from context order by id"))
    file_at = {number: i for i, number in enumerate(files)}
    context_at = {number: i for i, number in enumerate(contexts)}
    lines: dict[tuple[int, int], Array] = {}
    query = "select file_id, context_id, numbits from line_bits"
    for file, context, bits in database.execute(query):
        raw = np.frombuffer(bits, np.uint8)
        if len(raw) > MOST_LINES // 8:
            raise CorruptFileError(f"a file of {8 * len(raw)} lines")
        numbers = np.flatnonzero(np.unpackbits(raw, bitorder="little"))
        lines[file_at[file], context_at[context]] = numbers
    # With branches recorded there are pairs of lines instead; entries and exits are negative.
    arcs: dict[tuple[int, int], set[int]] = defaultdict(set)
    for file, context, start, end in database.execute(
        "select file_id, context_id, fromno, tono from arc"
    ):
        arcs[file_at[file], context_at[context]].update(n for n in (start, end) if n > 0)
    for key, numbers_of_arcs in arcs.items():
        lines[key] = np.array(sorted(numbers_of_arcs), np.int64)
    return CoverageData(list(files.values()), list(contexts.values()), lines)
