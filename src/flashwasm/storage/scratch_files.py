"""Scratch files and folders: names for unfinished files, and the removal of abandoned ones.

A process that is killed while it writes leaves its scratch file behind. Later writes into the same
folder remove such a file once it is a day old.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["is_stale", "remove_stale", "scratch_folder", "scratch_path"]

# The name does not contain the finished file's name, which may already have the maximum length.
# SQLite's journal is beside a scratch file that is a database.
_NAMES = re.compile(r"\.[0-9a-f]{16}\.flashwasm-tmp(-journal)?")
# Age in seconds at which a scratch file is considered abandoned.
_STALE_SECONDS = 24 * 3600


def scratch_path(folder: Path) -> Path:
    """Return a path inside a folder that no other process uses, without creating anything.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the file to write.
    """
    return folder / f".{os.urandom(8).hex()}.flashwasm-tmp"


def scratch_folder(folder: Path) -> Path:
    """Create a new folder inside a folder, which is created too if necessary; return its path.

    Scratch files that killed processes left in ``folder`` are removed.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to which the finished files will be moved.

    Raises
    ------
    OSError
        If the folder cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    scratch = scratch_path(folder)
    scratch.mkdir()
    return scratch


def is_stale(path: Path) -> bool:
    """Return True if a file was last written more than a day ago."""
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False


def remove_stale(folder: Path) -> None:
    """Remove scratch files and folders that are more than a day old.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to clean. No error is raised if it cannot be read or changed.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if _NAMES.fullmatch(path.name) and is_stale(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
