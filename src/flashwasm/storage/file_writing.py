"""Writing files in flashwasm's format."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.file_format import (
    CRC_BYTES,
    HEADER,
    MAGIC,
    MOST_AXES,
    PARAMETERS,
    SECTION,
    VERSION,
    Section,
    aligned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from flashwasm.storage.file_format import Container

    Array = NDArray[Any]

__all__ = ["write_container"]


def write_container(path: Path, container: Container) -> None:
    """Write a file; at any moment, readers see either the old content or the new content.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file. Its folder is created if necessary.
    container : Container
        Contents to write.

    Raises
    ------
    OSError
        If the file cannot be written. The old file does not change then.
    """
    text = json.dumps(container.parameters, sort_keys=True).encode()
    arrays = {PARAMETERS: np.frombuffer(text, np.uint8)}
    arrays |= {name: _portable(array) for name, array in container.sections.items()}
    offset = aligned(HEADER.size + len(arrays) * SECTION.size)
    entries = []
    for name, array in arrays.items():
        entries.append(Section(name, array.dtype.str, array.shape, offset, zlib.crc32(array.data)))
        offset = aligned(offset + array.nbytes)
    write_atomically(path, _parts(container, entries, arrays, offset))


def _portable(array: Array) -> Array:
    """Return an array in the layout of the file: little-endian and contiguous."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _parts(
    container: Container, entries: list[Section], arrays: Mapping[str, Array], length: int
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the file in order: header, table, then a gap and the data per section."""
    names = [x.encode("ascii") for x in (container.kind, container.metric, container.dtype)]
    # The last field is the checksum, which the header does not cover.
    head = HEADER.pack(MAGIC, VERSION, len(entries), length, *names, 0)[:-CRC_BYTES]
    table = b"".join(
        SECTION.pack(
            entry.name.encode("ascii"),
            entry.dtype.encode("ascii"),
            len(entry.shape),
            *entry.shape,
            *[0] * (MOST_AXES - len(entry.shape)),
            entry.offset,
            entry.crc,
        )
        for entry in entries
    )
    yield head + struct.pack("<I", zlib.crc32(table, zlib.crc32(head))) + table
    at = HEADER.size + len(table)
    for entry, array in zip(entries, arrays.values(), strict=True):
        yield bytes(entry.offset - at)
        yield array.reshape(-1).view(np.uint8).data
        at = entry.offset + array.nbytes
    yield bytes(length - at)
