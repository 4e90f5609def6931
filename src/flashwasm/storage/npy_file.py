"""NumPy's .npy files, from which users pass arrays."""

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

# First bytes of a .npy file, and of a zip archive, which NumPy's .npz files are.
_BEGINNING, _ZIP = b"\x93NUMPY", b"PK"


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, memory-mapped.

    Python objects, which such a file may also contain, are never unpickled.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    CorruptFileError
        If the file is not a complete .npy file, or if it contains Python objects.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        if not file.read(len(_BEGINNING)).startswith((_BEGINNING, _ZIP)):
            # NumPy takes such a file for a pickle, and advises to load it.
            raise CorruptFileError(
                f"{path} is not a complete .npy file: its first bytes are those of another kind"
            )
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    # NumPy evaluates the header as Python, which may raise any of these errors.
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
        raise CorruptFileError(f"{path} is not a complete .npy file: it contains several arrays")
    return found
