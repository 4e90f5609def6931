"""Arguments that name a file to write, checked before a command begins to work."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from flashwasm.errors import ShapeError
from flashwasm.storage.write_check import check_writable

__all__ = ["STDOUT", "OutputFile", "refuse_input"]

# The argument that means stdout where a command supports it.
STDOUT = "-"


class OutputFile(click.Path):
    """A file to write; its folder is created if necessary.

    A command may work for minutes before it writes. So a file that cannot be written is refused
    while the arguments are read.

    Parameters
    ----------
    stdout : bool, default False
        True to accept "-" for stdout.
    """

    def __init__(self, *, stdout: bool = False) -> None:
        super().__init__(dir_okay=False, allow_dash=stdout, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; raise OSError if the file is known not to be writable."""
        path: Any = super().convert(value, param, ctx)
        if str(path) != STDOUT:
            check_writable(path)
        elif not self.allow_dash:
            message = "'-' is no file; expected a path, such as ./- for a file of this name"
            self.fail(message, param, ctx)
        return path


def refuse_input(output: Path, inputs: Iterable[Path]) -> None:
    """Raise ShapeError if a file to write is one of the inputs, which would be lost."""
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise ShapeError(f"--output: {output} is the input {path}; give another file")
