"""Values that shells complete with the Tab key, for arguments of several kinds.

The functions import what they need, because the help and the completion of commands load no NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

__all__ = [
    "complete_installed",
    "complete_known",
    "complete_model",
    "complete_operation",
    "complete_path",
]


def complete_path(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete a path, where the argument may also be another text."""
    return [CompletionItem(incomplete, type="file")]


def complete_installed(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the installed models."""
    from flashwasm.encoder.installed_models import installed  # noqa: PLC0415 - NumPy.

    return _beginning(incomplete, (model.name for model in installed()))


def complete_model(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the installed models; if none fits, let the shell complete a folder."""
    names = complete_installed(context, parameter, incomplete)
    return names or [CompletionItem(incomplete, type="dir")]


def complete_known(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the models that can be installed."""
    from flashwasm.encoder.known_models import KNOWN_MODELS  # noqa: PLC0415 - NumPy.

    return _beginning(incomplete, KNOWN_MODELS)


def complete_operation(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of the operations that `flashwasm bench` measures."""
    from flashwasm.cli.bench_steps import known_operations  # noqa: PLC0415 - NumPy.

    return _beginning(incomplete, sorted(known_operations()))


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    """Return the names that begin with the incomplete word."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
