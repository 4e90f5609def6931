"""Folders of the user: one for models and other data, and one for caches."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from flashwasm.errors import CapabilityError


class _Places(NamedTuple):
    """Environment variables that name a folder, and its usual path below the home folder."""

    own: str
    xdg: str
    linux: str
    macos: str
    windows: str


_DATA = _Places(
    own="FLASHWASM_DATA",
    xdg="XDG_DATA_HOME",
    linux=".local/share",
    macos="Library/Application Support",
    windows="AppData/Local",
)
_CACHE = _Places(
    own="FLASHWASM_CACHE",
    xdg="XDG_CACHE_HOME",
    linux=".cache",
    macos="Library/Caches",
    windows="AppData/Local",
)


def data_folder() -> Path:
    """Return the folder for installed models: ``FLASHWASM_DATA``, or the system's data folder.

    Raises
    ------
    CapabilityError
        If the user has no home folder.
    """
    return _folder(_DATA)


def cache_folder() -> Path:
    """Return the folder for caches: ``FLASHWASM_CACHE``, or the system's cache folder.

    Raises
    ------
    CapabilityError
        If the user has no home folder.
    """
    return _folder(_CACHE)


def usable_cache_folder() -> Path | None:
    """Return the folder for caches, or None if this user has none and works without caches."""
    try:
        return cache_folder()
    except CapabilityError:
        return None


def _folder(places: _Places) -> Path:
    """Return the folder that an environment variable names, or else the system's usual one."""
    if named := os.environ.get(places.own):
        return Path(named)
    windows = sys.platform == "win32"
    if named := os.environ.get("LOCALAPPDATA" if windows else places.xdg):
        return Path(named) / "flashwasm"
    try:
        home = Path.home()
    except RuntimeError:
        message = (
            f"this user has no home folder: name a folder in the environment variable {places.own}"
        )
        raise CapabilityError(message) from None
    usual = {"win32": places.windows, "darwin": places.macos}.get(sys.platform, places.linux)
    return home / usual / "flashwasm"
