"""The options that name a change: a diff, or a git revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.input import read_text
from flashwasm.qe.changes.diffs.git_changes import GitRepository
from flashwasm.qe.changes.diffs.unified_diff import read_diff

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["ChangeSource", "change_options"]


@dataclass(frozen=True)
class ChangeSource:
    """The change that the options name.

    Parameters
    ----------
    diff : str or None
        Path of a diff, or "-" for stdin.
    since : str or None
        A git revision. Exactly one of the two is given.
    """

    diff: str | None
    since: str | None

    def changes(self, path: Path, own: tuple[Path | None, ...]) -> list[ChangedFile]:
        """Return the changed files.

        Parameters
        ----------
        path : pathlib.Path
            Path of the suite. The revision is one of the repository that holds it.
        own : tuple of pathlib.Path or None
            Files that the command reads. They are not part of the change.
        """
        if self.since is not None:
            return GitRepository(path).changes_since(self.since, without=own)
        return read_diff(read_text(str(self.diff)))

    def before(self, path: Path) -> tuple[GitRepository, str] | None:
        """Return the repository of a suite and the revision before the change; None for a diff."""
        return None if self.since is None else (GitRepository(path), self.since)


def change_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--diff`` and ``--since``, one of which is required; pass both as ``change``."""

    @click.option("--diff", metavar="FILE|-", help="Unified diff of the change; - reads stdin.")
    @click.option(
        "--since",
        metavar="REV",
        help="Use all changes since this git revision, including untracked files.",
    )
    @wraps(command)
    def gathered(*, diff: str | None, since: str | None, **given: Any) -> None:
        """Call the command with the two options as one argument."""
        if diff is not None and since is not None:
            raise click.UsageError("--diff and --since exclude each other; give one of them")
        if diff is None and since is None:
            raise click.UsageError("give the change: --diff FILE, --diff - or --since REV")
        command(**given, change=ChangeSource(diff, since))

    return gathered
