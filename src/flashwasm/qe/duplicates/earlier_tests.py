"""Tests in an earlier revision of a git repository, to find the new tests."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.fingerprints import normalized_source
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, try_parse

if TYPE_CHECKING:
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["EarlierTests"]


class EarlierTests:
    """The tests of a revision.

    Parameters
    ----------
    revision : str
        A revision of git, such as ``main`` or ``HEAD~3``.
    folder : pathlib.Path
        A folder of the repository.

    Raises
    ------
    ShapeError
        If git has no such revision, or the folder is in no repository.
    CapabilityError
        If git is not installed.
    """

    def __init__(self, revision: str, folder: Path) -> None:
        self._root = Path(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel")).rstrip("\n"))
        wanted = ["--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
        self._commit = _git(self._root, "rev-parse", *wanted).decode().strip()
        if not self._commit:
            raise ShapeError(
                f"--since: {revision!r} is not a revision of the repository {self._root}; "
                "expected a branch, a tag or a commit"
            )
        self._old_paths = self._renames()
        self._files: dict[str, frozenset[tuple[str, str]]] = {}

    def is_new(self, test: CollectedTest) -> bool:
        """Return True if the revision contains no test with the same name and code.

        Comments, docstrings and formatting are ignored.
        """
        path = test.path.resolve()
        if not path.is_relative_to(self._root.resolve()):
            return True
        name = path.relative_to(self._root.resolve()).as_posix()
        name = self._old_paths.get(name, name)
        if name not in self._files:
            source = _git(self._root, "cat-file", "blob", f"{self._commit}:{name}")
            self._files[name] = frozenset(_functions(source))
        own = (test.nodeid.rpartition("::")[2], normalized_source(test.source))
        return own not in self._files[name]

    def _renames(self) -> dict[str, str]:
        """Return the old path of each file that was renamed or moved since, by its new path."""
        options = ["--no-ext-diff", "--name-status", "--find-renames", "-z"]
        fields = iter(
            os.fsdecode(_git(self._root, "diff", *options, self._commit, "--")).split("\0")
        )
        renames = {}
        # A path follows each status; for a renamed or copied file, the old and the new path.
        for status in fields:
            path = next(fields, "")
            if status.startswith(("R", "C")):
                renames[next(fields, "")] = path
        return renames


def _functions(source: bytes) -> Iterator[tuple[str, str]]:
    """Yield the name and the normalised source of each function of a file."""
    tree = try_parse(source)
    for node in () if tree is None else ast.walk(tree):
        if isinstance(node, FUNCTION_NODES):
            yield node.name, normalized_source(source_of(node))


def _git(folder: Path, *arguments: str) -> bytes:
    """Return the output of git; empty bytes if there is no such object.

    Raises ShapeError if the folder is in no repository, and CapabilityError if git is missing.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, paths, and a checked revision.
            ["git", *arguments],  # noqa: S607 - the user's own git.
            cwd=folder,
            capture_output=True,
            # git's messages are compared and quoted in English.
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            timeout=60,
        )
    except FileNotFoundError as error:
        raise CapabilityError(
            "--since needs git, which is not installed; install it, or leave --since out"
        ) from error
    if done.returncode and "--show-toplevel" in arguments and b"not a git repo" in done.stderr:
        raise ShapeError(
            f"--since: {folder} is not in a git repository; leave --since out, or compare with "
            "--baseline"
        )
    if done.returncode and ("diff" in arguments or "--show-toplevel" in arguments):
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        if "dubious ownership" in reason:  # The repository belongs to another user.
            reason += "; allow it with `git config --global --add safe.directory PATH`"
        raise ShapeError(f"--since: git says of {folder}: {reason}")
    return b"" if done.returncode else done.stdout
