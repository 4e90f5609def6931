"""The file format of all saved objects: arrays by name, with checksums for every byte.

docs/file-format.md describes it byte by byte. This module contains the constants and records that
reading and writing share.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "CRC_BYTES",
    "HEADER",
    "MAGIC",
    "MOST_AXES",
    "PARAMETERS",
    "SECTION",
    "VERSION",
    "Container",
    "Section",
    "aligned",
]

MAGIC = b"\x89FWASM\r\n"
VERSION = 1
# Magic, version, number of sections, length of the file, kind, metric, dtype, four zeros, CRC-32 of
# the header before it and of the table of sections.
HEADER = struct.Struct("<8sIIQ16s8s8s4xI")
# Name, dtype, number of axes, shape, offset, CRC-32 of the content, four zeros.
SECTION = struct.Struct("<16s4sI3QQI4x")
CRC_BYTES = 4
MOST_AXES = 3
# Name of the section with the parameters as JSON.
PARAMETERS = "parameters"
_ALIGNMENT = 64


@dataclass(frozen=True)
class Container:
    """Contents of a file.

    Attributes
    ----------
    kind : str
        Kind of object in the file: "flat-index", "hnsw-index" and so on.
    metric, dtype : str
        Metric and dtype of the object; "" if it has none.
    parameters : dict
        Numbers and strings by name.
    sections : dict
        Arrays by name, each of at most three axes.
    """

    kind: str
    metric: str = ""
    dtype: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A row of the table of sections, which describes one array.

    Attributes
    ----------
    name, dtype : str
        Name of the array, and its dtype in NumPy's notation, for example "<f4".
    shape : tuple of int
        Shape of the array.
    offset : int
        Position in the file of its first byte.
    crc : int
        CRC-32 of its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    crc: int

    @property
    def nbytes(self) -> int:
        """Length of the array in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def aligned(offset: int) -> int:
    """Round an offset up to the next one at which a section may begin."""
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
