"""Cache files, with arrays that are computed again if a file is damaged or missing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CorruptFileError
from flashwasm.storage.cache_warnings import warn_unwritable
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

__all__ = ["keep_newest", "read_cache", "write_cache"]


def read_cache(path: Path, kind: str) -> Arrays:
    """Return the arrays in a cache file; none if the file is missing or cannot be used.

    A file that is damaged or has another or an earlier format causes a RuntimeWarning. The caller
    then computes the arrays again and overwrites the file.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file, which need not exist.
    kind : str
        Expected kind of container, at most 16 ASCII characters.
    """
    try:
        return read_container(path, kind).sections
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        warnings.warn(f"cannot read {path}: {error}", RuntimeWarning, stacklevel=3)
    except CorruptFileError as error:
        warnings.warn(f"ignoring the damaged cache {error}", RuntimeWarning, stacklevel=3)
    return {}


def write_cache(path: Path, kind: str, arrays: Arrays) -> bool:
    """Write arrays to a cache file; return False, after a warning, if that fails.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file to write. Its folder is created if it is missing.
    kind : str
        Kind of container, which must be passed to `read_cache` too.
    arrays : mapping of str to numpy.ndarray
        Arrays by name, with dtypes that docs/file-format.md lists.
    """
    try:
        write_container(path, Container(kind, sections=dict(arrays)))
    except OSError as error:
        warn_unwritable(path, error)
        return False
    return True


def keep_newest(folder: Path, suffix: str, count: int) -> None:
    """Remove all files of a cache except those written last.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the cache.
    suffix : str
        Suffix of the cache's file names, including the dot.
    count : int
        Number of files to keep.

    Raises
    ------
    OSError
        If the folder cannot be read or changed.
    """
    files = [path for path in folder.iterdir() if path.suffix == suffix]
    for path in sorted(files, key=_last_written)[:-count]:
        path.unlink(missing_ok=True)


def _last_written(path: Path) -> float:
    """Return the time at which a file was written, or 0 if it no longer exists."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
