"""Files that changed together in git's log."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from flashwasm.qe.changes.diffs.git_output import git_output
from flashwasm.qe.scoring.array_cache import cached_arrays

__all__ = ["CoChange"]

# Number of commits to read, the latest ones.
_COMMITS = 2000
# Maximum number of files in a commit. A larger commit, such as a reformatting, is no evidence that
# two of its files belong together.
_MOST_FILES = 30
# Number of commits without the other file to add to each count. Without it, a pair of files that
# changed together once, in their only commit, would get the full score.
_PRIOR = 2
# Character that git prints before each commit.
_MARK = "\x01"
_LOG = (
    *("log", "--name-only", "--no-renames", "--no-merges", "-z"),
    *(f"-n{_COMMITS}", "--format=%x01", "--no-ext-diff", "--no-textconv"),
)


class CoChange:
    """The commits of a repository, as lists of the files that each commit changed.

    Parameters
    ----------
    root : pathlib.Path
        Top folder of the checkout. For any other folder, or if git fails, there are no commits.
    cache : bool, default True
        True to cache the log in the user's cache folder, until the checkout is at another commit.
    """

    def __init__(self, root: Path, *, cache: bool = True) -> None:
        self._commits = list(_commits(root, cache=cache)) if (root / ".git").exists() else []

    def likeness(self, paths: Collection[str], others: Collection[str]) -> dict[str, float]:
        """Return how often each other file changed together with one of the given files.

        The measure is the cosine, in [0, 1), between the sets of commits that changed either file.
        If several files are given, the highest cosine counts.

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
    """Yield the files of each of the latest commits, except commits that changed many files."""
    head = git_output(root, "rev-parse", "--verify", "HEAD")
    if not head:
        return
    key = hashlib.sha256(f"{root} {_LOG}".encode() + head).hexdigest()

    def read() -> dict[str, np.ndarray]:
        return {"log": np.frombuffer(git_output(root, *_LOG), np.uint8)}

    text = (
        cached_arrays("git-log", key, read, cache=cache)["log"].tobytes().decode("utf-8", "replace")
    )
    for commit in text.split(_MARK)[1:]:
        files = {name.strip("\n") for name in commit.split("\0")} - {""}
        if len(files) <= _MOST_FILES:
            yield files
