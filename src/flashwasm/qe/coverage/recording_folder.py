"""The folder in which a coverage database was recorded, if it lies above that of the tests."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

__all__ = ["recording_folder"]


def recording_folder(names: Collection[str], folder: Path) -> Path:
    """Return the folder that relative paths in a database are relative to.

    It is the given folder or one above it: the nearest one in which most of the files exist.

    Parameters
    ----------
    names : collection of str
        Relative paths of files in the database.
    folder : pathlib.Path
        Folder to begin with, such as pytest's rootdir.
    """
    folder = folder.absolute()
    best, most = folder, -1
    for one in (folder, *folder.parents):
        present = sum((one / name).is_file() for name in names)
        if present > most:
            best, most = one, present
        if most == len(names):
            break
    return best
