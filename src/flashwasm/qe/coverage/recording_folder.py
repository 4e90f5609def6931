"""The folder in which a coverage database was recorded, if it lies above that of the tests."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_database import CoverageData

__all__ = ["names_from", "recording_folder"]


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


def names_from(data: CoverageData, folder: Path) -> CoverageData:
    """Return coverage with the node ids that pytest gives the tests if a folder is the rootdir.

    If the database was recorded in a folder above, its node ids begin with more folders, and its
    relative paths of sources start in that folder. These paths become absolute.

    Parameters
    ----------
    data : CoverageData
        Coverage with a context for each test.
    folder : pathlib.Path
        pytest's rootdir.
    """
    tests = [context.partition("::") for context in data.contexts]
    paths = {path for path, separator, _ in tests if separator}
    origin = recording_folder(paths, folder)
    if origin == folder.absolute():
        return data
    moved = {path: Path(os.path.relpath(origin / path, folder)).as_posix() for path in paths}
    contexts = [f"{moved.get(path, path)}{separator}{name}" for path, separator, name in tests]
    return replace(data, contexts=contexts, files=[str(origin / name) for name in data.files])
