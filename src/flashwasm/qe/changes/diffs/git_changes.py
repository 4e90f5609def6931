"""The changes since a git revision, including untracked files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.qe.changes.diffs.unified_diff import ChangedFile, read_diff

__all__ = ["GitRepository"]

# Options that make `git diff` print the format of `read_diff`, regardless of the user's settings.
# The last one ends the options, so that a revision cannot be read as an option.
_DIFF = (
    "diff",
    "--patch",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--submodule=short",
    "--ignore-submodules=none",
    "--end-of-options",
)
# Variables that git sets for its hooks. They must not override the repository of the path.
_OF_A_HOOK = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE"}
# Compiled files and coverage databases, which no test depends on, although some repositories do not
# ignore them.
_PRODUCT = re.compile(r"(?:.*/)?(?:[^/]*\.pyc|\.coverage(?:\.[^/]*)?)")
# Maximum size of an untracked file to read. A larger file is not a program.
_MOST_BYTES = 16 << 20
# Number of bytes at the start of a file in which git looks for a zero byte, the sign of a binary.
_HEAD = 8000


class GitRepository:
    """The repository that contains a path.

    Parameters
    ----------
    path : pathlib.Path
        Path of a file or a folder.

    Raises
    ------
    ShapeError
        If the path is not in a repository, or in one of another user that git refuses to read.
    CapabilityError
        If git is not installed.

    Attributes
    ----------
    root : pathlib.Path
        Top folder of the working tree.
    """

    def __init__(self, path: Path) -> None:
        git = shutil.which("git")
        if git is None:
            raise CapabilityError("git is not installed; give the change as a diff")
        self._git = git
        self.root = (path if path.is_dir() else path.parent).absolute()
        status, top, reason = self._run("rev-parse", "--show-toplevel")
        if "dubious ownership" in reason:
            raise ShapeError(
                f"{path} is in a repository of another user, which git refuses to read: {reason}; "
                "allow it with `git config --global --add safe.directory PATH`, or give the change "
                "as a diff"
            )
        if status:
            raise ShapeError(
                f"{path} is not in a git working tree: {reason}; give the change as a diff"
            )
        self.root = Path(os.fsdecode(top.rstrip(b"\r\n")))

    def changes_since(
        self, revision: str, *, without: tuple[Path | None, ...] = ()
    ) -> list[ChangedFile]:
        """Return the differences between a revision and the working tree, as in ``git diff REV``.

        Files that git neither tracks nor ignores count as added.

        Parameters
        ----------
        revision : str
            Commit, branch or tag. ``main...``, with three dots at the end, is the commit at which
            the current branch left ``main``. ``a..b`` compares two commits.
        without : tuple of pathlib.Path or None
            Untracked files that are not part of the change.

        Raises
        ------
        ShapeError
            If git does not know the revision.
        """
        since = self._start(revision) if revision.endswith("...") else revision
        # The two dashes say that the revision is not a path.
        text = self._checked(revision, *_DIFF, since, "--")
        changes = read_diff(text.decode("utf-8", "replace"))
        left_out = {path.resolve() for path in without if path is not None}
        listed = self._checked(revision, "ls-files", "--others", "--exclude-standard", "-z")
        for name in filter(None, listed.split(b"\0")):
            path = os.fsdecode(name)
            file = self.root / path
            if (
                file.is_file()
                and file.resolve() not in left_out
                and not _PRODUCT.fullmatch(path)
                and not _is_output(file)
            ):
                # Another process may remove a temporary file at any moment.
                with suppress(FileNotFoundError):
                    changes.append(_added(path, file))
        return changes

    def last_commit(self, revision: str, path: Path) -> float:
        """Return the time of the last commit before a change that changed a file.

        Parameters
        ----------
        revision : str
            Revision that was passed to `changes_since`.
        path : pathlib.Path
            Absolute path of the file.

        Returns
        -------
        float
            Seconds since the epoch; 0 if no commit changed it.
        """
        inside = self._inside(path)
        if inside is None:
            return 0.0
        log = ("log", "-1", "--format=%ct", "--end-of-options", self._start(revision), "--")
        return float(self._checked(revision, *log, f":(top,literal){inside}") or 0)

    def content_at(self, revision: str, path: Path) -> bytes | None:
        """Return the content of a file in the working tree before a change.

        Parameters
        ----------
        revision : str
            As of `changes_since`, which knows it.
        path : pathlib.Path
            Absolute path of the file.

        Returns
        -------
        bytes or None
            The content, with the line ends of the working tree; None if there was no such file.
        """
        inside = self._inside(path)
        if inside is None:
            return None
        status, content, _ = self._run("cat-file", "--filters", f"{self._start(revision)}:{inside}")
        return None if status else content

    def _inside(self, path: Path) -> str | None:
        """Return a path relative to the root; None if it is outside."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return None

    def _start(self, revision: str) -> str:
        """Return the commit before a change."""
        if revision.endswith("..."):
            found = self._checked(revision, "merge-base", "--end-of-options", revision[:-3], "HEAD")
            return os.fsdecode(found.strip())
        start = revision.partition("..")[0] or "HEAD"
        listed = ("rev-list", "--max-count=1", "--end-of-options", start, "--")
        return os.fsdecode(self._checked(revision, *listed).strip())

    def _checked(self, revision: str, *arguments: str) -> bytes:
        """Return the output of git, or raise ShapeError with git's message about a revision."""
        status, output, reason = self._run(*arguments)
        if status:
            raise ShapeError(
                f"{revision!r} is not a revision that git knows; git says: {reason}; "
                "expected a branch, a tag or a commit, which a shallow clone may have to fetch"
            )
        return output

    def _run(self, *arguments: str) -> tuple[int, bytes, str]:
        """Return git's exit status, its output, and the first line of its error message."""
        environment = {key: value for key, value in os.environ.items() if key not in _OF_A_HOOK}
        done = subprocess.run(  # noqa: S603 - words of this module, and a revision after them.
            [self._git, *arguments],
            cwd=self.root,
            # Complaints are quoted in errors, which are English. Nothing in the repository changes.
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            check=False,
        )
        complaint = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        return done.returncode, done.stdout, complaint.removeprefix("fatal: ")


def _is_output(file: Path) -> bool:
    """Return True if this process writes its output into a file, as in ``flashwasm ... > FILE``."""
    try:
        return os.path.samestat(file.stat(), os.fstat(1))
    except OSError:
        return False


def _added(path: str, file: Path) -> ChangedFile:
    """Return an untracked file as one that the change adds."""
    data = file.read_bytes() if file.stat().st_size <= _MOST_BYTES else b"\0"
    if b"\0" in data[:_HEAD]:
        return ChangedFile(path, path, untracked=True)
    lines = data.decode("utf-8", "replace").splitlines()
    numbers = set(range(1, len(lines) + 1))
    return ChangedFile(path, path, new_lines=numbers, text="\n".join(lines), untracked=True)
