"""Findings as annotations of GitHub: lines that its runner shows beside the code.

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
        A few words.
    message : str
        The text, of any number of lines.
    """

    level: str
    path: Path
    line: int
    end_line: int
    title: str
    message: str

    def command(self, root: Path) -> str:
        """Return the line that the runner reads; ``root`` is the folder that its paths start at."""
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
    """Return the root of the git repository around a path; without one, the current folder."""
    path = path.resolve()
    found = (folder for folder in (path, *path.parents) if (folder / ".git").exists())
    return next(found, Path.cwd())


def _escaped(text: str) -> str:
    """Return a text on one line, as the runner reads it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return the value of a property, in which colons and commas have a meaning."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
