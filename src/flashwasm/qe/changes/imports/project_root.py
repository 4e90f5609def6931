"""The root folder of the project that tests and a diff belong to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

__all__ = ["project_root"]

# Folders that mark the root of a checkout.
_CHECKOUT = (".git", ".hg", ".jj", ".svn")


def project_root(rootdir: Path, paths: Iterable[str]) -> Path:
    """Return the root folder of a project, which contains its tests, packages and a diff's paths.

    It is the nearest checkout at or above pytest's rootdir, or else the nearest folder in which one
    of the paths exists, or else the rootdir itself.

    Parameters
    ----------
    rootdir : pathlib.Path
        pytest's rootdir.
    paths : iterable of str
        Paths of a diff.
    """
    above = (rootdir, *rootdir.parents)
    for folder in above:
        if any((folder / mark).exists() for mark in _CHECKOUT):
            return folder
    relative = [path for path in paths if not PurePosixPath(path).is_absolute()]
    for folder in above:
        if any((folder / path).exists() for path in relative):
            return folder
    return rootdir
