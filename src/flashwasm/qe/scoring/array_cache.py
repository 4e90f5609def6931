"""Computed arrays in the user's cache folder, found by a digest of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy.typing as npt

from flashwasm.storage.cache_file import keep_newest, read_cache, write_cache
from flashwasm.storage.user_folders import usable_cache_folder

__all__ = ["cached_arrays"]

Arrays = Mapping[str, npt.NDArray[Any]]
# Number of files to keep in a folder, those used last: enough for a few suites.
_FILES_KEPT = 8
_KIND, _SUFFIX = "cached-arrays", ".bin"


def cached_arrays(folder: str, key: str, make: Callable[[], Arrays], *, cache: bool) -> Arrays:
    """Return the cached arrays for a key, or compute them with ``make``.

    Parameters
    ----------
    folder : str
        Name of the folder inside the user's cache folder.
    key : str
        Hexadecimal digest of everything that the arrays depend on.
    make : callable
        Function without arguments that computes the arrays, by name. Their dtypes must be among
        those that docs/file-format.md lists.
    cache : bool
        True to read and write the cache, False to call ``make`` only.

    Returns
    -------
    mapping of str to numpy.ndarray
        Arrays by name. If a cache file is damaged, a warning is issued, and the file is replaced.
    """
    caches = usable_cache_folder() if cache else None
    if caches is None:
        return make()
    path = caches / folder / f"{key[:40]}{_SUFFIX}"
    if found := read_cache(path, _KIND):
        return found
    arrays = make()
    if write_cache(path, _KIND, arrays):
        # Another process may remove the same files, or the user the folder.
        with suppress(OSError):
            keep_newest(path.parent, _SUFFIX, _FILES_KEPT)
    return arrays
