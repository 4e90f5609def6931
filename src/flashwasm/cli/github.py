"""Findings as GitHub annotations, which GitHub shows beside the code.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Annotation", "repository_root"]


class Annotation(NamedTuple):
    """A note or a warning at some lines of a file.

    Parameters
    ----------
    level : {"notice", "warning", "error"}
        Level.
    path : pathlib.Path
        File.
    line, end_line : int
        First and last line.
    title : str
        A short title.
    message : str
        The text, which may have several lines.
    """

    level: str
    path: Path
    line: int
    end_line: int
    title: str
    message: str

    def command(self, root: Path) -> str:
        """Return the workflow command; paths in it are relative to the folder ``root``."""
        inside = self.path.is_relative_to(root)
        shown = self.path.relative_to(root) if inside else self.path
        properties = {
            "file": shown.as_posix(),
            "line": str(self.line),
            "endLine": str(self.end_line),
            "title": self.title,
        }
        written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        return f"::{self.level} {written}::{_escaped(self.message)}"


def repository_root(path: Path) -> Path:
    """Return the root of the git repository that contains a path, or else the current folder."""
    path = path.resolve()
    found = (folder for folder in (path, *path.parents) if (folder / ".git").exists())
    return next(found, Path.cwd())


def _escaped(text: str) -> str:
    """Escape a text for the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a text for a property of a workflow command, where ":" and "," are special."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
