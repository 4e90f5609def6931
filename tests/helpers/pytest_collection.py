"""The tests that pytest itself collects, for comparison with those that parsing finds."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Write no files beside the suite.
_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1"}
_OPTIONS = ("--collect-only", "-q", "-rsE", "--no-fold-skipped", "-p", "no:cacheprovider")
# No test runs, so pytest need not rewrite assertions, which would compile every file anew. The
# summary names the files with errors, so pytest need not parse them again for tracebacks.
_OPTIONS += ("--assert=plain", "--tb=no")


@dataclass(frozen=True)
class PytestCollection:
    """Output of ``pytest --collect-only``.

    ``tests`` contains node ids without parameters. ``left_out`` contains the files and classes that
    pytest could not import or skipped as a whole.
    """

    tests: set[str]
    left_out: set[str]


def pytest_collects(*paths, cwd, options=(), python=sys.executable):
    """Run ``pytest --collect-only`` on some paths in a folder; return its collection.

    pytest prints node ids relative to the rootdir of the run.
    """
    env = {**os.environ, **_ENVIRONMENT, "COLUMNS": "10000"}
    env.pop("PYTEST_ADDOPTS", None)
    command = [python, "-m", "pytest", *_OPTIONS, *options, *map(str, paths)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    # Status 2 means errors in some files, 5 means no tests.
    assert done.returncode in {0, 2, 5}, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    # Node ids come first. An empty line ends them.
    named = lines[: lines.index("")]
    summary = [re.match(r"(?:ERROR|SKIPPED) (.*?)(?: - .*)?$", line) for line in lines]
    return PytestCollection(
        {without_parameters(line) for line in named if "::" in line},
        {match[1] for match in summary if match},
    )


def without_parameters(nodeid):
    """Return a node id without its parameters: all cases of a test are one entry of a suite."""
    path, _, name = nodeid.partition("::")
    return f"{path}::{name.partition('[')[0]}"


def absolute(names, folder):
    """Return node ids or paths with absolute paths, given the folder to which they are relative."""
    parts = [name.partition("::") for name in names]
    return {f"{Path(folder, path).resolve()}{colons}{rest}" for path, colons, rest in parts}


def collected(suite):
    """Return the node ids of a suite, including those of inherited tests."""
    return {nodeid for test in suite.tests for nodeid in (test.nodeid, *test.also)}


def unexplained(suite, collection, *, cwd, rootdir):
    """Return the node ids that only pytest collects, and those that only the suite has.

    A difference is explained if the suite lists the file among the parts that it could not follow,
    or if pytest could not import the file or skipped it as a whole. ``cwd`` and ``rootdir`` are
    those of pytest's run.
    """
    theirs = absolute(collection.tests, rootdir)
    ours = absolute(collected(suite), suite.root)
    noted = {str(one.path.resolve()) for one in suite.skipped}
    perhaps = {str(one.path.resolve()) for one in suite.skipped if "it is listed" in one.reason}
    left_out = absolute(collection.left_out, cwd)
    missing = {one for one in theirs - ours if one.partition("::")[0] not in noted}
    more = {
        one
        for one in ours - theirs
        if left_out.isdisjoint(_prefixes(one)) and one.partition("::")[0] not in perhaps
    }
    return sorted(missing), sorted(more)


def _prefixes(nodeid):
    """Return the file and the classes that a node id names, and the node id itself."""
    parts = nodeid.split("::")
    return {"::".join(parts[:count]) for count in range(1, len(parts) + 1)}
