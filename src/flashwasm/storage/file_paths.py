"""The check of arguments that are paths of files or folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import DTypeError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


def checked_path(path: str | PathLike[str], name: str = "path") -> Path:
    """Return an argument as a path that is valid for the operating system.

    Parameters
    ----------
    path : str or os.PathLike
        The argument.
    name : str, default "path"
        Name of the argument, for the error.

    Raises
    ------
    DTypeError
        If the argument is neither text nor a path.
    ShapeError
        If no file can have this path.
    """
    try:
        checked = Path(path)
        if b"\0" in os.fsencode(checked):
            message = f"{name}: expected a path without a zero byte, got {str(checked)!r}"
            raise ShapeError(message)
    except TypeError:
        message = f"{name}: expected a str or os.PathLike, got {type(path).__name__}"
        raise DTypeError(message) from None
    except UnicodeEncodeError:
        message = f"{name}: expected text that can be the name of a file, got {path!r}"
        raise ShapeError(message) from None
    return checked


def checked_paths(paths: Sequence[str | PathLike[str]], name: str) -> list[Path]:
    """Return an argument that is a sequence of paths, at least one.

    Parameters
    ----------
    paths : sequence of str or os.PathLike
        The argument.
    name : str
        Name of the argument, for the error.

    Raises
    ------
    DTypeError
        If the argument is not a list or tuple of paths.
    ShapeError
        If the argument is empty, or if no file can have one of the paths.
    """
    if not isinstance(paths, (list, tuple)):
        message = f"{name}: expected a list or tuple of paths, got {type(paths).__name__}"
        raise DTypeError(message)
    if not paths:
        message = f"{name}: expected at least one path, got none"
        raise ShapeError(message)
    return [checked_path(path, f"{name}[{i}]") for i, path in enumerate(paths)]
