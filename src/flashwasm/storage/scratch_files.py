"""Scratch files and folders: names for what is not whole yet, and the removal of what was left.

A process that is killed while it writes leaves its scratch file behind. The next write into the
same folder removes it once it is a day old, whatever file it was to become.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["is_stale", "remove_stale", "scratch_folder", "scratch_path"]

# The name does not contain that of the finished file, which may be as long as the system allows.
_NAMES = re.compile(r"\.[0-9a-f]{16}\.flashwasm-tmp")
# Seconds after which a scratch file belongs to no process that still writes it.
_STALE_SECONDS = 24 * 3600


def scratch_path(folder: Path) -> Path:
    """Return a path inside a folder that no other process uses. Nothing is made there.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the file that is to be written.
    """
    return folder / f".{os.urandom(8).hex()}.flashwasm-tmp"


def scratch_folder(folder: Path) -> Path:
    """Make a new folder inside a folder, which is made too if need be, and return its path.

    Scratch that killed processes left in ``folder`` is removed.

    Parameters
    ----------
    folder : pathlib.Path
        Folder that the finished files are to be moved to.

    Raises
    ------
    OSError
        If it cannot be made.
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
    """Remove scratch files and folders that processes left which were killed more than a day ago.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to look into. No error is raised if it cannot be read or changed.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if _NAMES.fullmatch(path.name) and is_stale(path):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
