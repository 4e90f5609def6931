"""Arguments that name a file or folder to read, and the suggestion for a mistyped one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flashwasm.cli.input import exists
from flashwasm.qe.suites.nearest_files import nearest_files

__all__ = ["ExistingPath", "beside"]


class ExistingPath(click.Path):
    """A file or folder that exists. The error for any other path suggests the nearest names.

    Parameters
    ----------
    file_okay, dir_okay : bool, default True
        False to refuse files, or folders.
    allow_dash : bool, default False
        True to accept "-" for stdin.
    """

    def __init__(
        self, *, file_okay: bool = True, dir_okay: bool = True, allow_dash: bool = False
    ) -> None:
        super().__init__(
            exists=True,
            file_okay=file_okay,
            dir_okay=dir_okay,
            allow_dash=allow_dash,
            path_type=Path,
        )

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; refuse one that does not exist, and suggest the nearest names."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            path = Path(value)
            if exists(path) or not (near := beside(path)):
                raise
            message = f"{error.message.removesuffix('.')}; {near}."
            raise click.BadParameter(message, ctx, param) from error


def beside(path: Path) -> str:
    """Return a clause with the names nearest to a missing path, such as "the nearest is tests".

    If folders of the path are missing too, the names are those beside the first missing folder. No
    similar name gives "".
    """
    missing = path
    while not exists(missing.parent):
        missing = missing.parent
    try:
        names = [one.as_posix() for one in missing.parent.iterdir()]
    except OSError:
        return ""
    return nearest_files(missing.as_posix(), names).removesuffix("; ")
