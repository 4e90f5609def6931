"""Output of git commands that only read a repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_output"]

# Timeout for git in seconds.
_PATIENCE = 20
# Options that restrict git to reading objects. Neither the repository's settings nor a missing
# object may start a program or use the network.
_GIT = (
    *("git", "--no-pager", "--no-optional-locks", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "-c", "core.quotePath=false"),
)


def git_output(root: Path, *words: str) -> bytes:
    """Return the output of a git command; nothing if it fails for any reason.

    Parameters
    ----------
    root : pathlib.Path
        Top folder of the checkout. git does not search for a repository above it.
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
