"""Embeddings on disk, found by a digest of what was embedded.

A file is a header, the digests, and the vectors in the same order::

    magic (8 bytes) | rows, dim (2 x uint64) | SHA-256 of what follows (32 bytes)
    digests, rows x 32 bytes | vectors, rows x dim float32

Integers and floats are little-endian. Rows are ordered from the least recently used.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flashwasm.storage.atomic_files import write_atomically

__all__ = ["EmbeddingCache"]

Floats = npt.NDArray[np.float32]

_MAGIC = b"FWEMBED1"
_HEADER = struct.Struct("<8sQQ32s")
_DIGEST_BYTES = 32
# A hundred megabytes for vectors of 384 components. The oldest are dropped first.
_MAX_ROWS = 1 << 16


class EmbeddingCache:
    """Vectors by the 32-byte digest of what they were made from.

    A file that is damaged is ignored with a warning and written anew. Several processes may use
    one file: each reads a whole state of it, and the last to save keeps what the others saved.

    Parameters
    ----------
    path : pathlib.Path or None
        The file, which need not exist; None keeps everything in memory.
    most : int, optional
        Vectors that the file holds at most, unless one process asked for more.
    """

    def __init__(self, path: Path | None, most: int | None = None) -> None:
        self._path = path
        self._most = _MAX_ROWS if most is None else most
        self._vectors = _read(path)
        self._used: dict[bytes, None] = {}
        self._added: dict[bytes, Floats] = {}

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the keys that have no vector, each once."""
        asked = dict.fromkeys(keys)
        # They are in use from now on: a save must not drop them.
        self._used.update(asked)
        return [key for key in asked if key not in self._vectors]

    def get(self, key: bytes) -> Floats | None:
        """Return the vector ``(dim,)`` of a key, where there is one."""
        return self._vectors.get(key)

    def vectors(self, keys: Sequence[bytes]) -> Floats:
        """Return the vectors ``(len(keys), dim)`` of keys that have one."""
        return np.stack([self._vectors[key] for key in keys])

    def add(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Take in vectors, one row a key."""
        added = dict(zip(keys, vectors, strict=True))
        self._added.update(added)
        self._vectors.update(added)

    def save(self) -> None:
        """Write what was added to the file; a file that cannot be written is a warning."""
        if self._path is None or not self._added:
            return
        # Another process may have saved since this one read the file.
        (dim,) = next(iter(self._added.values())).shape
        # Vectors of another length are another model's: somebody copied its file here.
        rows = {key: row for key, row in _read(self._path).items() if len(row) == dim}
        for key in (*self._used, *self._added):
            if key in self._vectors:
                rows.pop(key, None)
                rows[key] = self._vectors[key]
        keep = max(self._most, len(self._used))
        try:
            _write(self._path, dict(list(rows.items())[-keep:]))
        except OSError as error:
            warnings.warn(f"cannot write {self._path}: {error}", RuntimeWarning, stacklevel=2)
        self._added.clear()


def _read(path: Path | None) -> dict[bytes, Floats]:
    """Vectors in a file, in its order; none where there is no file or where it is damaged."""
    if path is None:
        return {}
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        warnings.warn(f"cannot read {path}: {error}", RuntimeWarning, stacklevel=3)
        return {}
    if damage := _damage(data):
        warnings.warn(f"ignoring the cache {path}: {damage}", RuntimeWarning, stacklevel=3)
        return {}
    _, rows, dim, _ = _HEADER.unpack_from(data)
    starts = range(_HEADER.size, _HEADER.size + rows * _DIGEST_BYTES, _DIGEST_BYTES)
    vectors = np.frombuffer(data, "<f4", offset=starts.stop).reshape(rows, dim)
    return {data[at : at + _DIGEST_BYTES]: row for at, row in zip(starts, vectors, strict=True)}


def _damage(data: bytes) -> str:
    """Say what is wrong with a file's content; nothing where it is whole."""
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return "it is not a cache of embeddings"
    _, rows, dim, digest = _HEADER.unpack_from(data)
    if len(data) != _HEADER.size + rows * (_DIGEST_BYTES + 4 * dim):
        return "it is truncated"
    if hashlib.sha256(memoryview(data)[_HEADER.size :]).digest() != digest:
        return "its content was changed"
    return ""


def _write(path: Path, rows: dict[bytes, Floats]) -> None:
    vectors = np.stack(list(rows.values())).astype("<f4", copy=False)
    body = [b"".join(rows), vectors.tobytes()]
    digest = hashlib.sha256(body[0])
    digest.update(body[1])
    header = _HEADER.pack(_MAGIC, len(rows), vectors.shape[1], digest.digest())
    write_atomically(path, [header, *body])
