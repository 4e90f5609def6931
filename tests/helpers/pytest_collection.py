"""The tests that pytest itself collects, to compare with those that parsing finds."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Nothing but pytest's own plugins, and no files written beside the suite.
_ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_OPTIONS = ("--collect-only", "-q", "-rsE", "--no-fold-skipped", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class PytestCollection:
    """Output of ``pytest --collect-only``.

    ``tests`` holds node ids without parameters. ``left_out`` holds the files and classes that
    pytest could not import or skipped as a whole.
    """

    tests: set[str]
    left_out: set[str]


def pytest_collects(*paths, cwd, options=(), python=sys.executable):
    """Run ``pytest --collect-only`` on some paths in a folder; return what it collected.

    The rootdir of the run is the one that pytest prints node ids relative to.
    """
    env = {**os.environ, **_ENVIRONMENT, "COLUMNS": "10000"}
    env.pop("PYTEST_ADDOPTS", None)
    command = [python, "-m", "pytest", *_OPTIONS, *options, *map(str, paths)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    # 2 stands for errors in some files, 5 for no tests.
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


def absolute(nodeids, folder):
    """Return node ids with absolute paths, given the folder that they are relative to."""
    parts = [nodeid.partition("::") for nodeid in nodeids]
    return {f"{Path(folder, path).resolve()}{colons}{name}" for path, colons, name in parts}
