"""Arrays on disk under a digest of what they were made from."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.files import write_atomically
from flashwasm.paths import cache_folder

__all__ = ["cached_arrays"]

Arrays = Mapping[str, npt.NDArray[Any]]
# Files of a kind that stay: the newest, a few suites' worth.
_FILES_KEPT = 8
_DIGEST_BYTES = 32


def cached_arrays(kind: str, key: str, make: Callable[[], Arrays], *, cache: bool) -> Arrays:
    """Return what ``make`` returned for this key before, or what it returns now.

    Parameters
    ----------
    kind : str
        Name of a folder inside the user's cache folder.
    key : str
        A digest of everything that the arrays depend on.
    make : callable
        Makes the arrays, by name.
    cache : bool
        Whether to read and to write the cache.

    Returns
    -------
    mapping of str to numpy.ndarray
        A file that is damaged is ignored with a warning and written anew.
    """
    if not cache:
        return make()
    path = cache_folder() / kind / f"{key[:40]}.npz"
    found = _read(path)
    if found is not None:
        return found
    arrays = make()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getbuffer()
    try:
        write_atomically(path, [hashlib.sha256(content).digest(), content])
        files = sorted(path.parent.glob("*.npz"), key=lambda file: -file.stat().st_mtime)
        for file in files[_FILES_KEPT:]:
            file.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"cannot write {path}: {error}", RuntimeWarning, stacklevel=2)
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warnings.warn(f"cannot read {path}: {error}", RuntimeWarning, stacklevel=3)
        return None
    content = memoryview(data)[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
        warnings.warn(f"ignoring the damaged cache {path}", RuntimeWarning, stacklevel=3)
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
