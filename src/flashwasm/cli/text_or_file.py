"""Texts on the command line that look like the mistyped name of a file or a test."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from flashwasm.cli.input import exists
from flashwasm.cli.output import from_here
from flashwasm.errors import ShapeError
from flashwasm.qe.suites.nearest_files import nearest_files

__all__ = ["ends_like_a_file", "files_near", "refuse_mistyped_file", "resembles_a_name"]

# A word that ends like the name of a file of text is probably the path of one.
_FILE = re.compile(r"\S+\.(py|md|rst|txt|json|toml|ya?ml|csv|cfg|ini|html?|xml)", re.IGNORECASE)
# A test function or class by its name alone, with or without parameters.
_TEST = re.compile(r"(test_|Test[A-Z0-9])\w*(\[.*\])?")


def ends_like_a_file(text: str) -> bool:
    """Return True if a text is one word that ends as the names of files of text do.

    Examples
    --------
    >>> ends_like_a_file("docs/index.rst"), ends_like_a_file("see index.rst")
    (True, False)
    """
    return _FILE.fullmatch(text) is not None


def resembles_a_name(text: str) -> bool:
    """Return True if a text is one word that may be the name of a file or of a test.

    Examples
    --------
    >>> resembles_a_name("test_add"), resembles_a_name("/checkout"), resembles_a_name("checkout")
    (True, True, False)
    """
    if any(map(str.isspace, text)):
        return False
    has_folder = Path(text).name != text
    return has_folder or ends_like_a_file(text) or _TEST.fullmatch(text) is not None


def refuse_mistyped_file(query: str, files: Iterable[Path]) -> None:
    """Raise an error if a query can only be the path of a file, but there is no such file.

    A path that ends in ``.py``, or whose folder exists, cannot be anything else. But ``/checkout``
    may be a part of a URL.

    Parameters
    ----------
    query : str
        Text that names neither an existing file nor a test.
    files : iterable of pathlib.Path
        Absolute paths of files to suggest besides those in the folder that the query names.

    Raises
    ------
    ShapeError
    """
    folder, name = os.path.split(query)
    in_folder = folder.strip(os.sep) != "" and exists(Path(folder))
    if not in_folder and not name.lower().endswith(".py"):
        return
    # Only a part that exists can contain spaces; otherwise the query is a sentence.
    if any(map(str.isspace, name if in_folder else query)):
        return
    expected = "expected a node id, a file or a text"
    if exists(Path(query)):
        raise ShapeError(f"query {query!r} is a folder; {expected}")
    raise ShapeError(
        f"query {query!r} looks like a file, but there is none; "
        f"{files_near(query, files)}{expected}"
    )


def files_near(name: str, files: Iterable[Path] = ()) -> str:
    """Return the part of a message that suggests files for a mistyped one; see `nearest_files`.

    The suggestions are files in the folder of ``name``, and other ``files``.
    """
    try:
        beside = [path.as_posix() for path in Path(name).parent.iterdir() if path.is_file()]
    except (OSError, ValueError):
        beside = []
    return nearest_files(Path(name).as_posix(), [*beside, *map(from_here, files)])
