"""A run of pytest on chosen tests, with the interpreter of the project's environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.errors import CapabilityError, ShapeError

if TYPE_CHECKING:
    from flashwasm.cli.tests_for.choice import Choice

__all__ = ["PytestRun"]

# The script that runs pytest; the interpreter of the user's project executes it. The script reads
# the names from a file, because they may be too long for a command line.
_SCRIPT = Path(__file__).parent / "inside_pytest" / "flashwasm_chosen_tests.py"
# File descriptor of stderr.
_STDERR = 2


class PytestRun:
    """The interpreter and the arguments to run pytest with.

    Parameters
    ----------
    python : str or None
        Name or path of the interpreter; None uses the one that runs this command.
    arguments : sequence of str
        Further arguments of pytest.

    Raises
    ------
    ShapeError
        If there is no such interpreter.
    CapabilityError
        If the interpreter cannot import pytest.
    """

    def __init__(self, python: str | None, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._python = sys.executable
        if python is None:
            if importlib.util.find_spec("pytest") is None:
                raise CapabilityError(
                    "pytest is not installed beside flashwasm; name the interpreter of your "
                    "project with --python, or only list the tests with --dry-run"
                )
            return
        found = shutil.which(python)
        if found is None:
            raise ShapeError(
                f"--python {python!r}: there is no such program; expected a path such as "
                ".venv/bin/python"
            )
        # The interpreter of an environment may be a symbolic link. The path must not be resolved,
        # because Python finds the environment by it.
        self._python = str(Path(found).absolute())
        done = self._call(["-c", "import pytest"], capture_output=True)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise CapabilityError(
                f"--python {python!r} cannot import pytest: {reason}; "
                "install pytest there, or only list the tests with --dry-run"
            )

    def run(self, choice: Choice) -> int:
        """Run the chosen tests in their order, and return pytest's exit status."""
        return self._run(choice, [], None)

    def junit(self, choice: Choice) -> int:
        """Run the tests and print the JUnit XML of the run; pytest's output goes to stderr."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.xml")
            status = self._run(choice, [f"--junit-xml={report}"], _STDERR)
            if report.is_file():
                click.echo(report.read_text("utf-8"))
        return status

    def _run(self, choice: Choice, options: list[str], output: int | None) -> int:
        """Run the chosen tests and files; pytest's output goes to a file descriptor, or stdout."""
        with tempfile.TemporaryDirectory() as folder:
            names = Path(folder, "tests.txt")
            files = (Path(os.path.relpath(file, choice.root)).as_posix() for file in choice.files)
            names.write_text("\n".join([*choice.nodeids, *files]), "utf-8")
            # The other tests run even if pytest cannot import a file, which fails the run.
            more = ["--continue-on-collection-errors"] if choice.files else []
            command = [str(_SCRIPT), str(names), f"--rootdir={choice.root}", *more]
            done = self._call(
                [*command, *self._arguments, *options], cwd=choice.root, stdout=output
            )
        return done.returncode

    def _call(self, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the interpreter."""
        command = [self._python, *arguments]
        return subprocess.run(command, check=False, **options)  # noqa: S603 - the user's program.
