"""The output of git, of commands that only read the objects of a repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_output"]

# Seconds after which git is stopped.
_PATIENCE = 20
# git reads objects only. Neither the settings of the repository nor a missing object may start a
# program or reach a network.
_GIT = (
    *("git", "--no-pager", "--no-optional-locks", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "-c", "core.quotePath=false"),
)


def git_output(root: Path, *words: str) -> bytes:
    """Return what a command of git prints; nothing if it fails, for any reason.

    Parameters
    ----------
    root : pathlib.Path
        Top folder of the checkout. git looks for no repository above it.
    words : str
        The command and its options. They must not let git run a program: ``log``, ``show`` and
        ``blame`` need ``--no-textconv``, and those with patches ``--no-ext-diff``.
    """
    limits = {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the words are those of this package.
            [*_GIT, *words],
            cwd=root,
            env={**os.environ, **limits},
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return b""
    return b"" if done.returncode else done.stdout
