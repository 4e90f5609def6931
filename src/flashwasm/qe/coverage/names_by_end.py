"""Files and tests found by the end of their names.

A database may have been recorded in another folder than the one that is asked about, so its paths
may be longer or shorter than those of a question.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_text

__all__ = ["position_by_end", "position_of_file", "value_by_end"]

Value = TypeVar("Value")


def position_by_end(
    wanted: str, names: Sequence[str], separators: tuple[str, ...], kind: str
) -> int:
    """Return the position of the name that ``wanted`` means.

    An equal name comes first. Otherwise exactly one name must match: either the name ends with a
    separator and ``wanted``, or ``wanted`` ends with "/" and the name. For example, "src/lib.py"
    means "lib.py" if no other name matches.
    """
    if wanted in names:
        return names.index(wanted)
    found = [i for i, name in enumerate(names) if _same_end(name, wanted, separators)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(names[i] for i in found[:10])
        raise ShapeError(f"{wanted!r} may be {listed}; give more of its path")
    raise ShapeError(
        f"no {kind} {wanted!r} in the coverage database; correct the name, or record the database "
        "again with: pytest --fw-record DB"
    )


def _same_end(name: str, wanted: str, separators: tuple[str, ...] = ("/",)) -> bool:
    """Return True if one of two names is the other with more in front, up to a separator."""
    ends = tuple(separator + wanted for separator in separators)
    return name.endswith(ends) or wanted.endswith(f"/{name}")


def position_of_file(path: str, names: Sequence[str], root: Path | None = None) -> int:
    """Return the position of the file that a path means, whose end may be that of several.

    Without ``root``, the path is what a user typed, and `position_by_end` decides. If several names
    end with it, the one in the folder that holds all the files is meant. With ``root``, the path is
    that of a diff, and "utils.py" is never "web/utils.py".

    Parameters
    ----------
    path : str
        Path of the file.
    names : sequence of str
        Paths of the database's files.
    root : pathlib.Path, optional
        Folder from which relative ``names`` start. The path starts there or in a folder above.

    Raises
    ------
    ShapeError
        If the path means none of the files, or may mean several.
    """
    wanted = checked_text(path, "path").replace("\\", "/").removeprefix("./")
    if root is None and ".." in wanted.split("/"):
        wanted = posixpath.normpath((Path.cwd() / wanted).as_posix())
    names = [name.replace("\\", "/") for name in names]
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
        meant = [exact] if exact in meant else meant
    return names.index(meant[position_by_end(wanted, meant, ("/",), "file")])


def _common_folder(names: Sequence[str]) -> str:
    """Return the folder that holds all files, or "" if there is none."""
    try:
        return posixpath.commonpath([PurePosixPath(name).parent for name in names])
    except ValueError:
        return ""  # There are no names, or both absolute and relative ones.


def _folders(root: Path) -> list[Path]:
    """Return the folders that a diff's paths may start from: first that of the git repository."""
    above = [root, *root.parents]
    repository = next((folder for folder in above if (folder / ".git").exists()), root)
    return [repository, *above]


def _is_other_file(folder: Path, name: str, wanted: str) -> bool:
    """Return True if a name that may be ``wanted`` by its end is another file below a folder.

    The database may have been recorded elsewhere, so the longest end of the name that is a file
    below the folder counts. For example, "/build/web/utils.py" is not "utils.py" if the folder has
    a file "web/utils.py".
    """
    path = PurePath(name)
    parts = path.parts[1:] if path.is_absolute() else path.parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if (folder / end).is_file()), wanted) != wanted


def value_by_end(nodeid: str, values: Mapping[str, Value]) -> Value | None:
    """Return the value of a test, found by its node id or else by the longest end of its path.

    A database that was recorded in the folder ``tests`` has ``test_a.py::test`` for
    ``tests/test_a.py::test``.
    """
    parts = nodeid.split("/")
    for start in range(len(parts)):
        found = values.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None
