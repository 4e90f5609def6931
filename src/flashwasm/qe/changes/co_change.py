"""Files that changed together in git's log."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from flashwasm.qe.scoring.array_cache import cached_arrays

__all__ = ["CoChange"]

# Number of commits that are read, the latest ones, and seconds after which git is stopped.
_COMMITS = 2000
_PATIENCE = 20
# A commit of more files, such as a change of their layout, says nothing about any two of them.
_MOST_FILES = 30
# Number of commits without the other file that each count begins with. A pair of files that was
# seen together once in one commit is no rule yet.
_PRIOR = 2
# Character that git writes before each commit.
_MARK = "\x01"
# git reads objects only. Neither the settings of the repository nor a missing object may start a
# program or reach a network.
_LOG = (
    *("git", "--no-pager", "--no-optional-locks", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "log", "--name-only", "--no-renames", "--no-merges", "-z"),
    *(f"-n{_COMMITS}", "--format=%x01", "--no-ext-diff", "--no-textconv"),
)


class CoChange:
    """The commits of a repository, as the lists of the files that each changed.

    Parameters
    ----------
    root : pathlib.Path
        Top folder of the checkout. Elsewhere, and where git cannot read it, there are no commits.
    cache : bool, default True
        True to keep the log in the user's cache folder, until the checkout is at another commit.
    """

    def __init__(self, root: Path, *, cache: bool = True) -> None:
        self._commits = list(_commits(root, cache=cache)) if (root / ".git").exists() else []

    def likeness(self, paths: Collection[str], others: Collection[str]) -> dict[str, float]:
        """Return for each other file how often it changed together with one of some files.

        That is the cosine of the sets of commits that changed the one and the other, in [0, 1). Of
        several files the one with the highest cosine counts.

        Parameters
        ----------
        paths, others : collection of str
            Paths relative to the root. Each set of commits is taken to have two more commits.
        """
        times: Counter[str] = Counter()
        together: Counter[tuple[str, str]] = Counter()
        wanted, asked = set(others), set(paths)
        for files in self._commits:
            found = wanted & files
            changed = asked & files
            times.update(found | changed)
            together.update((path, other) for path in changed for other in found)
        found_likeness: dict[str, float] = dict.fromkeys(others, 0.0)
        for (path, other), count in together.items():
            cosine = count / math.sqrt((times[path] + _PRIOR) * (times[other] + _PRIOR))
            found_likeness[other] = max(found_likeness[other], cosine)
        return found_likeness


def _commits(root: Path, *, cache: bool) -> Iterator[set[str]]:
    """Yield the files of each of the latest commits, without those that changed many files."""
    head = _git_output(root, ("git", "rev-parse", "--verify", "HEAD"))
    if not head:
        return
    key = hashlib.sha256(f"{root} {_LOG}".encode() + head).hexdigest()

    def read() -> dict[str, np.ndarray]:
        return {"log": np.frombuffer(_git_output(root, _LOG), np.uint8)}

    text = (
        cached_arrays("git-log", key, read, cache=cache)["log"].tobytes().decode("utf-8", "replace")
    )
    for commit in text.split(_MARK)[1:]:
        files = {name.strip("\n") for name in commit.split("\0")} - {""}
        if len(files) <= _MOST_FILES:
            yield files


def _git_output(root: Path, command: tuple[str, ...]) -> bytes:
    """Return what a command of git prints; nothing if it fails, for any reason."""
    # git must not look for a repository above the folder.
    limits = {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the words of the command are fixed.
            command,
            cwd=root,
            env={**os.environ, **limits},
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    return b"" if done.returncode else done.stdout
