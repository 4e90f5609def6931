"""Settings of a project: default values of options, in ``[tool.flashwasm]`` of pyproject.toml.

Each command has a table. The table of a command in a group lies inside the table of the group:
``[tool.flashwasm.coverage.gap]``. A key is the long name of an option, with dashes or underscores.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from flashwasm.errors import DTypeError, ShapeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["command_defaults", "nearest_settings", "read_settings"]

_TABLE = "tool.flashwasm"


def nearest_settings() -> Path | None:
    """Return the pyproject.toml in the current folder or the nearest folder above it, if any."""
    here = Path.cwd()
    files = (folder / "pyproject.toml" for folder in (here, *here.parents))
    return next((file for file in files if file.is_file()), None)


def read_settings(file: Path) -> dict[str, Any] | None:
    """Return the table ``[tool.flashwasm]`` of a file; None if the file does not contain it.

    Raises
    ------
    DTypeError
        If the file is not TOML, or the entry is not a table.
    """
    try:
        table: dict[str, Any] = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DTypeError(f"{file} is not TOML: {error}; correct it, or give --no-config") from error
    for part in _TABLE.split("."):
        if part not in table:
            return None
        table = table[part]
        if not isinstance(table, dict):
            raise DTypeError(f"{file}: {_TABLE} is {table!r:.80}; expected a table")
    return table


def command_defaults(
    settings: dict[str, Any],
    file: Path,
    group: click.Group,
    names: Iterable[str],
    used: str | None,
) -> dict[str, Any]:
    """Return the settings of a group's commands in the form of click's ``default_map``.

    Parameters
    ----------
    settings : dict
        The table of the group.
    file : pathlib.Path
        The file, for messages. Relative paths in options are relative to its folder.
    group : click.Group
        The group.
    names : iterable of str
        Names of the group's commands.
    used : str or None
        Name of the command to read the table of, so that no other command is imported. None reads
        all tables.

    Returns
    -------
    dict
        Default values by command and parameter.

    Raises
    ------
    ShapeError
        If a table names no command, a key names no option, or an option rejects its value.
    """
    return _group_defaults(settings, file, group, list(names), used, _TABLE)


def _group_defaults(
    settings: dict[str, Any],
    file: Path,
    group: click.Group,
    names: list[str],
    used: str | None,
    table: str,
) -> dict[str, Any]:
    """Return the defaults of a group's commands, or of one; ``table`` is the group's table."""
    context = click.Context(group)
    defaults = {}
    for key, value in settings.items():
        name = _known(key, names, f"{file}: [{table}]", "a command")
        if not isinstance(value, dict):
            raise ShapeError(f"{file}: [{table}] {key} is {value!r}; expected a table")
        if used not in {None, name}:
            continue
        command = group.get_command(context, name)
        inner = f"{table}.{key}"
        if isinstance(command, click.Group):
            members = command.list_commands(click.Context(command))
            defaults[name] = _group_defaults(value, file, command, members, None, inner)
        elif command is not None:
            defaults[name] = _option_defaults(value, file, command, inner)
    return defaults


def _option_defaults(
    settings: dict[str, Any], file: Path, command: click.Command, table: str
) -> dict[str, Any]:
    """Return the default values of a command's options by the names of its parameters."""
    options: dict[str, click.Option] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            options.update((spelling.lstrip("-"), parameter) for spelling in parameter.opts)
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        place = f"{file}: [{table}]"
        option = options[_known(key, list(options), place, "an option")]
        if option.name in defaults:
            raise ShapeError(
                f"{place} {key} sets {option.opts[0]} a second time; delete one of the two"
            )
        defaults[str(option.name)] = _checked(value, file, command, option, f"{place} {key}")
    return defaults


def _known(key: str, names: list[str], place: str, what: str) -> str:
    """Return the name that matches a key; dashes and underscores are equivalent."""
    name = key.replace("_", "-")
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0)
    nearest = f"; the nearest is {near[0]}" if near else ""
    raise ShapeError(f"{place} {key} is not the name of {what}{nearest}")


def _checked(value: Any, file: Path, command: click.Command, option: click.Option, key: str) -> Any:
    """Return the value of an option; raise ShapeError if the option rejects it."""
    if isinstance(value, bool) != option.is_flag:
        expected = "true or false" if option.is_flag else "a text, a number or a list"
        raise ShapeError(f"{key} is {value!r}; expected {expected}")
    if isinstance(value, dict) or (option.multiple and not isinstance(value, list)):
        raise ShapeError(
            f"{key} is {value!r}; expected {'a list' if option.multiple else 'a value'}"
        )
    if isinstance(option.type, click.Path):
        several = isinstance(value, list)
        paths = [_below(file.parent, one) for one in (value if several else [value])]
        value = paths if several else paths[0]
    try:
        option.type_cast_value(click.Context(command), value)
    except (click.UsageError, TypeError, ValueError) as error:
        reason = error.message if isinstance(error, click.UsageError) else error
        raise ShapeError(f"{key} is {value!r}: {reason}") from error
    return value


def _below(folder: Path, value: Any) -> Any:
    """Return a path relative to a folder; keep "-", which is stdin and not a path."""
    if not isinstance(value, str) or value == "-" or folder == Path.cwd():
        return value
    return str(folder / value)
