"""Folders of the user: one for models and other data, one for caches that can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def _folder(override: str, xdg: str, macos: str, windows: str, other: str) -> Path:
    """Return the folder that an environment variable names, or else the platform's own."""
    if named := os.environ.get(override):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get(windows) or Path.home() / "AppData" / "Local") / "flashwasm"
    if named := os.environ.get(xdg):
        return Path(named) / "flashwasm"
    home = Path.home()
    return home / (macos if sys.platform == "darwin" else other) / "flashwasm"


def data_folder() -> Path:
    """Return the folder for installed models: ``FLASHWASM_DATA``, or the platform's own."""
    return _folder(
        "FLASHWASM_DATA",
        "XDG_DATA_HOME",
        "Library/Application Support",
        "LOCALAPPDATA",
        ".local/share",
    )


def cache_folder() -> Path:
    """Return the folder for caches: ``FLASHWASM_CACHE``, or the platform's own."""
    return _folder("FLASHWASM_CACHE", "XDG_CACHE_HOME", "Library/Caches", "LOCALAPPDATA", ".cache")
