"""Names in a coverage database as pytest gives them with another rootdir."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.coverage.recording_folder import recording_folder

if TYPE_CHECKING:
    from flashwasm.qe.coverage.coverage_database import CoverageData

__all__ = ["names_from"]


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
