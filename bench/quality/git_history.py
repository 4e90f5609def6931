"""Past changes of a git repository, from its log."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bench.quality.past_changes import (
    MOST_FILES,
    MOST_TESTS,
    PastChange,
    changed_tests,
    is_product,
    same_code,
    suite_folder,
)
from bench.quality.project_copy import ProjectCopy
from flashwasm.errors import ShapeError
from flashwasm.qe.suites.collection import collect
from flashwasm.qe.suites.source_files import is_test_file

__all__ = ["commits_of"]

# Character that git writes before each commit.
_MARK = "\x01"
# Maximum seconds of the run of a suite that records coverage, and of each of its tests.
_RUN_LIMIT, _TEST_LIMIT = 600, 30


def commits_of(repository: Path, most: int, *, record: bool = False) -> Iterator[PastChange]:
    """Yield the latest commits that change the code of both product and tests.

    A temporary clone is checked out at the parent of each commit, with the product's files of the
    commit. The repository itself is only read, and nothing in it is executed, except by `record`.
    Tests that the commit adds are not evaluated, because the parent does not have them.

    Parameters
    ----------
    repository : pathlib.Path
        A repository with its history, bare or with files.
    most : int
        Maximum number of commits.
    record : bool, default False
        True to run the suite before each commit, in this interpreter's environment, and record its
        coverage. A commit before which no test passes has no coverage.

    Raises
    ------
    ShapeError
        If the path is not a repository.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, repository.absolute().name)
        command = ["git", "clone", "--quiet", "--shared", "--no-checkout"]
        _run([*command, str(repository.resolve()), str(clone)], repository)
        found = 0
        for commit, parent, files in _candidates(clone):
            if (change := _change(clone, commit, parent, files, record=record)) is not None:
                found += 1
                yield change
            if found == most:
                return


def _candidates(clone: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each commit that changes files of both kinds, latest first, with parent and files."""
    options = ["--name-only", "--no-renames", "--no-merges", "-z", "--format=%x01%H %P"]
    for entry in _git(clone, "log", *options).split(_MARK)[1:]:
        head, *names = entry.split("\0")
        commit, *parents = head.split()
        files = [name for name in (name.strip("\n") for name in names) if name]
        kinds = {(is_product(name), is_test_file(PurePosixPath(name))) for name in files}
        if (
            len(parents) == 1
            and len(files) <= MOST_FILES
            and {(True, False), (False, True)} <= kinds
        ):
            yield commit, parents[0], files


def _change(
    clone: Path, commit: str, parent: str, files: list[str], *, record: bool
) -> PastChange | None:
    """Check out a commit's parent with the commit's product; None if either has no code change."""
    product = [name for name in files if is_product(name)]
    before, now = (
        {name: _source(clone, one, name) for name in product} for one in (parent, commit)
    )
    if all(same_code(before[name], now[name]) for name in product):
        return None
    _check_out(clone, commit)
    after = collect(suite_folder(clone)).tests
    _check_out(clone, parent)
    suite = suite_folder(clone)
    tests = changed_tests(collect(suite).tests, after)
    if not 0 < len(tests) <= MOST_TESTS:
        return None
    options = ["--no-color", "--no-ext-diff", "--no-textconv"]
    diff = _git(clone, "diff", *options, parent, commit, "--", *product)
    coverage = _recorded(clone) if record else None
    for name in product:
        if now[name] is None:
            (clone / name).unlink()
        else:
            _git(clone, "checkout", "--quiet", commit, "--", name)
    return PastChange(clone.name, commit[:10], suite, diff, tests, coverage)


def _recorded(clone: Path) -> Path | None:
    """Run the suite in a copy under coverage.py, and return the database; None if no test passes.

    The database lies beside the clone, and stays there until the next commit.
    """
    database = clone.with_suffix(".coverage.db")
    database.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = ProjectCopy(clone, Path(folder).resolve())
        copy.limits = (_RUN_LIMIT, _TEST_LIMIT)
        done = copy.record_coverage()
        if done.stopped or not done.ran.keys() - done.failed:
            return None
        shutil.copy(copy.database, database)
    return database


def _check_out(clone: Path, commit: str) -> None:
    """Check out the files of a commit, and remove all others."""
    _git(clone, "checkout", "--quiet", "--force", "--detach", commit)
    _git(clone, "clean", "--quiet", "--force", "-dx")


def _source(clone: Path, commit: str, name: str) -> str | None:
    """Return a file's text at a commit; None if the commit has no such file."""
    if not _git(clone, "ls-tree", commit, "--", name):
        return None
    return _git(clone, "show", "--no-textconv", f"{commit}:{name}")


def _git(clone: Path, *words: str) -> str:
    """Return what a command of git prints in the clone."""
    return _run(["git", "-C", str(clone), *words], clone)


def _run(command: list[str], repository: Path) -> str:
    """Return what a command prints.

    Raises
    ------
    ShapeError
        If it fails.
    """
    # Neither a hook of the user nor the download of a missing object may start a program.
    safe = ["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]
    done = subprocess.run(  # noqa: S603 - git, and words that this file or git itself wrote.
        [command[0], *safe, *command[1:]], capture_output=True, check=False
    )
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise ShapeError(f"history: {repository} is no git repository that can be read: {reason}")
    return done.stdout.decode("utf-8", "replace")
