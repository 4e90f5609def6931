"""The one file format for what is kept on disk: arrays under names, every byte of them checked.

docs/file-format.md describes it byte by byte. A file is written whole or not at all, and read whole
or not at all.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from flashwasm.errors import CorruptFileError
from flashwasm.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "Container",
    "Section",
    "container_kind",
    "container_sections",
    "read_container",
    "write_container",
]

MAGIC = b"\x89FWASM\r\n"
VERSION = 1
# Magic, version, number of sections, length of the file, kind, metric, dtype, zero, CRC-32 of the
# header and of the table of sections.
_HEADER = struct.Struct("<8sIIQ16s8s8s4xI")
# Name, dtype, axes, shape, offset, CRC-32.
_SECTION = struct.Struct("<16s4sI3QQI4x")
_CRC_BYTES = 4
_ALIGNMENT = 64
_MOST_SECTIONS = 64
_MOST_AXES = 3
_DTYPES = ("|u1", "|i1", "<u4", "<i4", "<i8", "<f4")
_PARAMETERS = "parameters"


@dataclass(frozen=True)
class Container:
    """What a file holds.

    Attributes
    ----------
    kind : str
        What it is a file of: "flat-index", "hnsw-index" and so on.
    metric, dtype : str
        As the object that it holds was made with; "" where there is none.
    parameters : dict
        Numbers and strings by name.
    sections : dict
        Arrays by name, of at most three axes.
    """

    kind: str
    metric: str = ""
    dtype: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A row of the table of sections: an array's name and dtype, and where and what it is."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    crc: int

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write_container(path: Path, container: Container) -> None:
    """Write a file so that a reader sees the old content or the new.

    Parameters
    ----------
    path : pathlib.Path
        Where.
    container : Container
        What. Its arrays are written as they are when this is called.

    Raises
    ------
    OSError
        If it cannot be written; the old file stays.
    """
    text = json.dumps(container.parameters, sort_keys=True).encode()
    arrays = {_PARAMETERS: np.frombuffer(text, np.uint8)}
    arrays |= {name: _portable(array) for name, array in container.sections.items()}
    offset = _aligned(_HEADER.size + len(arrays) * _SECTION.size)
    entries = []
    for name, array in arrays.items():
        entries.append(Section(name, array.dtype.str, array.shape, offset, zlib.crc32(array.data)))
        offset = _aligned(offset + array.nbytes)
    write_atomically(path, _parts(container, entries, arrays, offset))


def _portable(array: Array) -> Array:
    """Return an array as it lies in a file: little-endian and contiguous."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _parts(
    container: Container, entries: list[Section], arrays: Mapping[str, Array], length: int
) -> Iterator[bytes | memoryview]:
    """Yield the content in order."""
    names = (x.encode("ascii") for x in (container.kind, container.metric, container.dtype))
    head = _HEADER.pack(MAGIC, VERSION, len(entries), length, *names, 0)[:-_CRC_BYTES]
    table = b"".join(
        _SECTION.pack(
            *(e.name.encode("ascii"), e.dtype.encode("ascii"), len(e.shape)),
            *(*e.shape, *[0] * (_MOST_AXES - len(e.shape))),
            *(e.offset, e.crc),
        )
        for e in entries
    )
    yield head + struct.pack("<I", zlib.crc32(table, zlib.crc32(head))) + table
    at = _HEADER.size + len(table)
    for entry, array in zip(entries, arrays.values(), strict=True):
        yield bytes(entry.offset - at)
        yield array.reshape(-1).view(np.uint8).data
        at = entry.offset + array.nbytes
    yield bytes(length - at)


def read_container(path: Path, kind: str) -> Container:
    """Read a file, or raise where a single byte of it is not as it was written.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    kind : str
        What it must hold.

    Returns
    -------
    Container

    Raises
    ------
    CorruptFileError
        If it is truncated, changed, foreign, of another kind or of a later version.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _read(file, path.stat().st_size, kind)
        except _DamageError as damage:
            message = f"{path}: {damage}"
            raise CorruptFileError(message) from None


def container_kind(path: Path) -> str | None:
    """Return what a file says it holds; None where it is no such file at all.

    Raises
    ------
    CorruptFileError
        If its header is truncated, changed or of a later version.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
    return _head(path)[0]


def container_sections(path: Path) -> list[Section]:
    """Return the table of sections; their contents are not read.

    Raises
    ------
    CorruptFileError
        As `read_container` does, but for what only the contents show.
    """
    return _head(path)[1]


def _head(path: Path) -> tuple[str, list[Section]]:
    with path.open("rb") as file:
        try:
            names, entries, _ = _read_head(file, path.stat().st_size)
        except _DamageError as damage:
            message = f"{path}: {damage}"
            raise CorruptFileError(message) from None
    return names[0], entries


class _DamageError(Exception):
    """What is wrong with a file."""


def _read(file: BinaryIO, size: int, kind: str) -> Container:
    (actual, metric, dtype), entries, end = _read_head(file, size)
    if actual != kind:
        message = f"the file holds a {actual}, not a {kind}"
        raise _DamageError(message)
    arrays = _arrays(file, entries, end, size)
    return Container(actual, metric, dtype, _parameters(arrays), arrays)


def _read_head(file: BinaryIO, size: int) -> tuple[list[str], list[Section], int]:
    """Return kind, metric and dtype, the table of sections, and where that ends."""
    head = file.read(_HEADER.size)
    if not head.startswith(MAGIC):
        message = "this is not a file of flashwasm's"
        raise _DamageError(message)
    if len(head) < _HEADER.size:
        message = "the file is truncated: its header is not whole"
        raise _DamageError(message)
    _, version, count, length, *names, crc = _HEADER.unpack(head)
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
    table = file.read(count * _SECTION.size)
    if zlib.crc32(table, zlib.crc32(head[:-_CRC_BYTES])) != crc:
        message = "the header is damaged: its checksum differs"
        raise _DamageError(message)
    entries = _entries(table, length)
    return [_text(name) for name in names], entries, _HEADER.size + len(table)


def _text(field_: bytes) -> str:
    """Return a name from its field."""
    try:
        return field_.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        message = "the header is damaged: a name is no text"
        raise _DamageError(message) from None


def _entries(table: bytes, length: int) -> list[Section]:
    """Return the table of sections, which lie one after another without overlap."""
    entries: list[Section] = []
    end = _HEADER.size + len(table)
    for name, dtype, axes, *shape, offset, crc in _SECTION.iter_unpack(table):
        entry = Section(_text(name), _text(dtype), tuple(shape[:axes]), offset, crc)
        whole = axes <= _MOST_AXES and not any(shape[axes:]) and entry.dtype in _DTYPES
        if not whole or offset != _aligned(end) or offset + entry.nbytes > length:
            message = f"section {entry.name!r} is not within the file"
            raise _DamageError(message)
        if any(entry.name == other.name for other in entries):
            message = f"section {entry.name!r} is there twice"
            raise _DamageError(message)
        entries.append(entry)
        end = offset + entry.nbytes
    if _aligned(end) != length:
        message = "the file is longer than its sections"
        raise _DamageError(message)
    return entries


def _arrays(file: BinaryIO, entries: list[Section], at: int, length: int) -> dict[str, Array]:
    """Read the sections and the zeros between them."""
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
    if gap != bytes(size):
        message = "the bytes between two sections were changed"
        raise _DamageError(message)


def _parameters(arrays: dict[str, Array]) -> dict[str, Any]:
    """Take the section of parameters out of the others."""
    try:
        parameters = json.loads(arrays.pop(_PARAMETERS).tobytes())
    except (KeyError, ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        message = "the section of parameters cannot be read"
        raise _DamageError(message)
    return parameters


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
