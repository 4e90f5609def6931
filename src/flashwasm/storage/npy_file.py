"""NumPy's own files: arrays that a user hands over."""

from __future__ import annotations

import tokenize
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import CorruptFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_npy"]


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file, which stays on disk until it is used.

    Python objects, which such a file may hold as well, are never unpickled.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    CorruptFileError
        If it is no whole .npy file, or one of Python objects.
    OSError
        If it cannot be read.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    # NumPy reads the header as Python, and hands on whatever that raises.
    except (
        ValueError,
        TypeError,
        OverflowError,
        EOFError,
        SyntaxError,
        LookupError,
        RecursionError,
        MemoryError,
        tokenize.TokenError,
        zipfile.BadZipFile,
    ) as error:
        reason = " ".join(str(error).split())
        raise CorruptFileError(f"{path} is not a complete .npy file: {reason:.200}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise CorruptFileError(f"{path} is not a complete .npy file: it holds several arrays")
    return found
