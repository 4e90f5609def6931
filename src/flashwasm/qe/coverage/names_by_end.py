"""Look-up of files and tests by the end of their names.

A database may have been recorded in a different folder. So its paths may be longer or shorter than
those in a query.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_text
from flashwasm.qe.suites.nearest_files import nearest_files

__all__ = ["position_of_file", "value_by_end"]

Value = TypeVar("Value")


def _same_end(name: str, wanted: str) -> bool:
    """Return True if one of two paths ends with the other one, after a "/"."""
    return name.endswith(f"/{wanted}") or wanted.endswith(f"/{name}")


def position_of_file(path: str, names: Sequence[str], root: Path | None = None) -> int:
    """Return the position of the file that matches a path.

    Without ``root``, a user typed the path, or it is a name. An equal name is used, or else a name
    of which the path is the end, or the other way round; if several names match, the one directly
    in the common folder of all files is used. For example, "src/lib.py" matches "lib.py" if no
    other name matches. With ``root``, the path is from a diff, and "utils.py" never matches
    "web/utils.py".

    Parameters
    ----------
    path : str
        Path of the file.
    names : sequence of str
        Paths of the database's files.
    root : pathlib.Path, optional
        Folder that relative ``names`` are relative to. ``path`` is relative to this folder or to a
        folder above it.

    Raises
    ------
    ShapeError
        If no file matches, or several match.
    """
    wanted = checked_text(path, "path").replace("\\", "/").removeprefix("./")
    if root is None and ".." in wanted.split("/"):
        wanted = posixpath.normpath((Path.cwd() / wanted).as_posix())
    names = [name.replace("\\", "/") for name in names]
    if root is None and wanted in names:
        return names.index(wanted)
    meant = [name for name in names if name == wanted or _same_end(name, wanted)]
    if root is not None:
        absolute = {(root.absolute() / name).as_posix(): name for name in meant}
        folders = _folders(root.absolute())
        for folder in folders:
            if (file := (folder / wanted).as_posix()) in absolute:
                return names.index(absolute[file])
        start = next((folder for folder in folders if (folder / wanted).is_file()), folders[0])
        meant = [name for name in meant if not _is_other_file(start, name, wanted)]
    if len(meant) > 1:
        exact = PurePosixPath(_common_folder(names), wanted).as_posix()
        meant = next(([name] for name in (exact, wanted) if name in meant), meant)
    if len(meant) > 1:
        raise ShapeError(f"{wanted!r} may be {', '.join(meant[:10])}; give more of its path")
    if not meant:
        near = nearest_files(wanted, names) if root is None else ""
        raise ShapeError(
            f"no file {wanted!r} in the coverage database; {near}correct the name, or record the "
            "database again with: pytest --fw-record DB"
        )
    return names.index(meant[0])


def _common_folder(names: Sequence[str]) -> str:
    """Return the common folder of all files; "" if there is none."""
    try:
        return posixpath.commonpath([PurePosixPath(name).parent for name in names])
    except ValueError:
        return ""  # There are no names, or both absolute and relative names.


def _folders(root: Path) -> list[Path]:
    """Return the folders that paths in a diff may be relative to, the repository's root first."""
    above = [root, *root.parents]
    repository = next((folder for folder in above if (folder / ".git").exists()), root)
    return [repository, *above]


def _is_other_file(folder: Path, name: str, wanted: str) -> bool:
    """Return True if a name ends with ``wanted`` but is a different file below a folder.

    The database may have been recorded elsewhere. So the function uses the longest end of the name
    that is a file below the folder. For example, "/build/web/utils.py" does not match "utils.py" if
    the folder contains a file "web/utils.py".
    """
    path = PurePath(name)
    parts = path.parts[1:] if path.is_absolute() else path.parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if (folder / end).is_file()), wanted) != wanted


def value_by_end(nodeid: str, values: Mapping[str, Value]) -> Value | None:
    """Return the value for a test, by its node id or else by the longest matching end of it.

    A database that was recorded in the folder ``tests`` contains ``test_a.py::test`` instead of
    ``tests/test_a.py::test``.
    """
    parts = nodeid.split("/")
    for start in range(len(parts)):
        found = values.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None
