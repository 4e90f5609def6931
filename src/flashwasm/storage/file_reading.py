"""Reading files in flashwasm's format. A file with any changed byte raises CorruptFileError."""

from __future__ import annotations

import json
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from flashwasm.errors import CorruptFileError
from flashwasm.storage.file_format import (
    CRC_BYTES,
    HEADER,
    MAGIC,
    MOST_AXES,
    PARAMETERS,
    SECTION,
    VERSION,
    Container,
    Section,
    aligned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["container_kind", "container_sections", "read_container"]

_MOST_SECTIONS = 64
# Maximum length of an axis of an array without elements. The size of the file does not bound it,
# and NumPy cannot create longer ones.
_LONGEST_EMPTY = 1 << 20
_DTYPES = ("|u1", "|i1", "<u4", "<i4", "<i8", "<f4")


def read_container(path: Path, kind: str) -> Container:
    """Read a file completely, and check every byte.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.
    kind : str
        Expected kind of the file, for example "flat-index".

    Returns
    -------
    Container

    Raises
    ------
    CorruptFileError
        If the file is truncated or changed, or has another format, another kind or a later version.
    OSError
        If the file cannot be read.
    """
    with _opened(path) as file:
        return _read(file, _size(file), kind)


def container_kind(path: Path) -> str | None:
    """Return the kind of a file, or None if it does not have this format.

    Raises
    ------
    CorruptFileError
        If the header is truncated, changed or of a later version.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
    with _opened(path) as file:
        names, _, _ = _read_head(file, _size(file))
    return names[0]


def container_sections(path: Path) -> list[Section]:
    """Return the table of sections, without reading the sections themselves.

    Raises
    ------
    CorruptFileError
        If the file is truncated, has another format or a later version, or if its header or table
        was changed.
    """
    with _opened(path) as file:
        _, entries, _ = _read_head(file, _size(file))
    return entries


def _size(file: BinaryIO) -> int:
    """Return the size of an open file, even if its path already names a newer file."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and convert a _DamageError in the block to a CorruptFileError with its path."""
    with path.open("rb") as file:
        try:
            yield file
        except _DamageError as damage:
            message = f"{path}: {damage}; {damage.advice}"
            raise CorruptFileError(message) from None


class _DamageError(Exception):
    """Damage to a file. The message describes it, and `_opened` adds the file's path.

    Attributes
    ----------
    advice : str
        Next step for the user.
    """

    advice = "create the file again, or restore a copy"


class _KindError(_DamageError):
    """A whole file of another kind than the one that was asked for."""

    advice = "give a file of that kind; `flashwasm index info FILE` prints the kind of a file"


def _read(file: BinaryIO, size: int, kind: str) -> Container:
    """Read and check all ``size`` bytes of an open file."""
    (actual, metric, dtype), entries, end = _read_head(file, size)
    if actual != kind:
        message = f"the file contains a {actual}, not a {kind}"
        raise _KindError(message)
    arrays = _arrays(file, entries, end, size)
    return Container(actual, metric, dtype, _parameters(arrays), arrays)


def _read_head(file: BinaryIO, size: int) -> tuple[list[str], list[Section], int]:
    """Return [kind, metric, dtype], the table of sections, and the offset of its end."""
    head = file.read(HEADER.size)
    if not head.startswith(MAGIC):
        message = "this is not a flashwasm file"
        raise _DamageError(message)
    if len(head) < HEADER.size:
        message = "the file is truncated: its header is incomplete"
        raise _DamageError(message)
    _, version, count, length, *names, crc = HEADER.unpack(head)
    if version != VERSION:
        message = f"the file is of version {version}; this release reads version {VERSION}"
        raise _DamageError(message)
    if size != length:
        what = "truncated" if size < length else "too long"
        message = f"the file is {what}: {size} bytes, {length} expected"
        raise _DamageError(message)
    if count > _MOST_SECTIONS:
        message = f"the header is damaged: {count} sections"
        raise _DamageError(message)
    table = file.read(count * SECTION.size)
    if zlib.crc32(table, zlib.crc32(head[:-CRC_BYTES])) != crc:
        message = "the header is damaged: its checksum differs"
        raise _DamageError(message)
    entries = _entries(table, length)
    return [_text(name) for name in names], entries, HEADER.size + len(table)


def _text(padded: bytes) -> str:
    """Return a name without the zero bytes that pad it in the file."""
    try:
        return padded.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        message = "the header is damaged: a name is not ASCII text"
        raise _DamageError(message) from None


def _entries(table: bytes, length: int) -> list[Section]:
    """Return the table of sections, and check that the sections are consecutive in the file."""
    entries: list[Section] = []
    end = HEADER.size + len(table)
    for name, dtype, axes, *shape, offset, crc in SECTION.iter_unpack(table):
        entry = Section(_text(name), _text(dtype), tuple(shape[:axes]), offset, crc)
        valid = axes <= MOST_AXES and not any(shape[axes:]) and entry.dtype in _DTYPES
        valid = valid and (0 not in entry.shape or max(entry.shape) <= _LONGEST_EMPTY)
        if not valid or offset != aligned(end) or offset + entry.nbytes > length:
            message = f"section {entry.name!r} is not within the file"
            raise _DamageError(message)
        if any(entry.name == other.name for other in entries):
            message = f"the table has two sections {entry.name!r}"
            raise _DamageError(message)
        entries.append(entry)
        end = offset + entry.nbytes
    if aligned(end) != length:
        message = "the file is longer than its sections"
        raise _DamageError(message)
    return entries


def _arrays(file: BinaryIO, entries: list[Section], at: int, length: int) -> dict[str, Array]:
    """Read the sections, and check them and the zeros between them.

    ``at`` is the offset of the first byte after the table, and ``length`` is the file's length.
    """
    arrays = {}
    for entry in entries:
        _check_zeros(file.read(entry.offset - at), entry.offset - at)
        content = np.empty(entry.nbytes, np.uint8)
        if file.readinto(content.data) != entry.nbytes:  # type: ignore[attr-defined]
            message = f"the file is truncated in section {entry.name!r}"
            raise _DamageError(message)
        if zlib.crc32(content.data) != entry.crc:
            message = f"section {entry.name!r} is damaged: its checksum differs"
            raise _DamageError(message)
        arrays[entry.name] = content.view(entry.dtype).reshape(entry.shape)
        at = entry.offset + entry.nbytes
    _check_zeros(file.read(length - at), length - at)
    return arrays


def _check_zeros(gap: bytes, size: int) -> None:
    """Raise _DamageError unless the gap between two sections is ``size`` zero bytes."""
    if gap != bytes(size):
        message = "the bytes between two sections were changed"
        raise _DamageError(message)


def _parameters(arrays: dict[str, Array]) -> dict[str, Any]:
    """Remove the section of parameters from the arrays, and return the decoded parameters."""
    try:
        parameters = json.loads(arrays.pop(PARAMETERS).tobytes())
    except (KeyError, ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        message = f"the section {PARAMETERS!r} cannot be read"
        raise _DamageError(message)
    return parameters
