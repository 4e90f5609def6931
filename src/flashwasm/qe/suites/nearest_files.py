"""Suggestions for mistyped names of files."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePosixPath

__all__ = ["nearest_files"]

# Maximum number of files that an error message suggests.
_SUGGESTED_AT_MOST = 3


def nearest_files(wanted: str, files: Iterable[str]) -> str:
    """Return the part of an error message that suggests files for a mistyped one.

    Parameters
    ----------
    wanted : str
        Path that names no file.
    files : iterable of str
        Paths to choose from, with "/" between the folders.

    Returns
    -------
    str
        The files of the same name in other folders, or else those with a similar name, the
        nearest path first; "" if there is none.

    Examples
    --------
    >>> nearest_files("drafft.py", ["draft.py", "tests/test_cart.py"])
    'the nearest is draft.py; '
    """
    by_stem: dict[str, list[str]] = {}
    for file in dict.fromkeys(files):
        by_stem.setdefault(PurePosixPath(file).stem, []).append(file)
    path = PurePosixPath(wanted)
    # Names without their ends, such as .py, which most of them share, show best which are similar.
    near = [file for stem in get_close_matches(path.stem, by_stem) for file in by_stem[stem]]
    same = [file for file in near if PurePosixPath(file).name == path.name]
    found = get_close_matches(wanted, same or near, _SUGGESTED_AT_MOST, cutoff=0)
    if not found:
        return ""
    return f"the nearest {'is' if len(found) == 1 else 'are'} {', '.join(found)}; "
