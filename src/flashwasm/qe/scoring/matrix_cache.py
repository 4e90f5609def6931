"""Arrays on disk under a digest of what they were made from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from flashwasm.errors import CorruptFileError
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from flashwasm.storage.user_folders import cache_folder

__all__ = ["cached_arrays"]

Arrays = Mapping[str, npt.NDArray[Any]]
# Files of a kind that stay: the newest, a few suites' worth.
_FILES_KEPT = 8
_KIND, _SUFFIX = "cached-arrays", ".bin"


def cached_arrays(kind: str, key: str, make: Callable[[], Arrays], *, cache: bool) -> Arrays:
    """Return what ``make`` returned for this key before, or what it returns now.

    Parameters
    ----------
    kind : str
        Name of a folder inside the user's cache folder.
    key : str
        A digest of everything that the arrays depend on.
    make : callable
        Makes the arrays, by name, of the dtypes that docs/file-format.md lists.
    cache : bool
        Whether to read and to write the cache.

    Returns
    -------
    mapping of str to numpy.ndarray
        A file that is damaged is ignored with a warning and written anew.
    """
    if not cache:
        return make()
    path = cache_folder() / kind / f"{key[:40]}{_SUFFIX}"
    found = _read(path)
    if found is not None:
        return found
    arrays = make()
    try:
        write_container(path, Container(_KIND, sections=dict(arrays)))
        files = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda file: -file.stat().st_mtime)
        for file in files[_FILES_KEPT:]:
            file.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"cannot write {path}: {error}", RuntimeWarning, stacklevel=2)
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        return read_container(path, _KIND).sections
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        warnings.warn(f"cannot read {path}: {error}", RuntimeWarning, stacklevel=3)
        return None
    except CorruptFileError as error:
        warnings.warn(f"ignoring the damaged cache {error}", RuntimeWarning, stacklevel=3)
        return None
