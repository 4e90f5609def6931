"""A cache of embeddings on disk. The key is a digest of the text and the settings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flashwasm.storage.cache_file import read_cache, write_cache
from flashwasm.storage.cache_warnings import warn_unwritable
from flashwasm.storage.folder_lock import locked

__all__ = ["EmbeddingCache"]

Floats = npt.NDArray[np.float32]

_KIND = "embedding-cache"
_DIGEST_BYTES = 32
# Maximum number of vectors in a file. With 384 components each, they take a hundred megabytes. The
# least recently used vectors are dropped first.
_MOST_VECTORS = 1 << 16


class EmbeddingCache:
    """Vectors by the 32-byte digest of the inputs that they were computed from.

    A damaged file is ignored with a warning, and replaced. Several processes may use one file:
    writes are atomic, and a process that saves locks the folder and first reads the vectors that
    other processes have saved.

    A save survives a crash of the process. A loss of power may undo the last save.

    Parameters
    ----------
    path : pathlib.Path or None
        Path of the file, which need not exist; None keeps the vectors in memory only.
    most : int, optional
        Maximum number of vectors in the file; None is 65,536. A process that requested more vectors
        keeps all of them.
    """

    def __init__(self, path: Path | None, most: int | None = None) -> None:
        self._path = path
        self._most = _MOST_VECTORS if most is None else most
        self._vectors = _read(path)
        self._used: dict[bytes, None] = {}
        self._added: dict[bytes, Floats] = {}

    def missing(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the distinct keys without a vector."""
        asked = dict.fromkeys(keys)
        # A requested key counts as used, so that `save` does not drop its vector.
        self._used.update(asked)
        return [key for key in asked if key not in self._vectors]

    def get(self, key: bytes) -> Floats | None:
        """Return the vector ``(dim,)`` of a key; None if there is none."""
        return self._vectors.get(key)

    def vectors(self, keys: Sequence[bytes]) -> Floats:
        """Return the vectors ``(len(keys), dim)`` of keys; each must have one."""
        return np.stack([self._vectors[key] for key in keys])

    def add(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Add vectors ``(len(keys), dim)``, one row for each key."""
        added = dict(zip(keys, vectors, strict=True))
        self._added.update(added)
        self._vectors.update(added)

    def save(self) -> None:
        """Write the added vectors to the file; warn if the file cannot be written."""
        if self._path is None or not self._added:
            return
        try:
            with locked(self._path.parent):
                _write(self._path, self._merged(self._path))
        except OSError as error:
            warn_unwritable(self._path, error)
        self._added.clear()

    def _merged(self, path: Path) -> dict[bytes, Floats]:
        """Return the vectors to write: those in the file, and those of this process."""
        (dim,) = next(iter(self._added.values())).shape
        # Vectors of a different length are from another model, whose file was copied to this path.
        rows = {key: row for key, row in _read(path).items() if len(row) == dim}
        # Removing and inserting a key makes it the most recently used one.
        for key in (*self._used, *self._added):
            if key in self._vectors:
                rows.pop(key, None)
                rows[key] = self._vectors[key]
        keep = max(self._most, len(self._used))
        return dict(list(rows.items())[-keep:])


def _read(path: Path | None) -> dict[bytes, Floats]:
    """Return the vectors of a file by digest, the least recently used first."""
    arrays = {} if path is None else read_cache(path, _KIND)
    if not arrays:
        return {}
    digests, vectors = arrays.get("digests"), arrays.get("vectors")
    if (
        digests is None
        or vectors is None
        or digests.shape != (len(vectors), _DIGEST_BYTES)
        or digests.dtype != np.uint8
        or vectors.dtype != np.float32
        or vectors.ndim != 2
    ):
        message = f"ignoring the damaged cache {path}: it holds no embeddings"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return {}
    return {digest.tobytes(): row for digest, row in zip(digests, vectors, strict=True)}


def _write(path: Path, rows: dict[bytes, Floats]) -> None:
    """Write vectors to a file, in the order of the dictionary."""
    digests = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), _DIGEST_BYTES)
    vectors = np.stack(list(rows.values())).astype(np.float32, copy=False)
    write_cache(path, _KIND, {"digests": digests, "vectors": vectors})
