"""A run of pytest on chosen tests, by the interpreter of the project's environment."""

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

# The script that runs pytest; the interpreter of the user's project executes it. It reads the names
# from a file, since a command line may be too short for them.
_SCRIPT = Path(__file__).parent / "inside_pytest" / "flashwasm_chosen_tests.py"
# Number of the open file that is stderr.
_STDERR = 2


class PytestRun:
    """The way in which pytest is run.

    Parameters
    ----------
    python : str or None
        Name or path of the interpreter; None takes the one that runs this command.
    arguments : sequence of str
        Further arguments of pytest.

    Raises
    ------
    ShapeError
        If there is no such interpreter.
    CapabilityError
        If pytest is not installed for it.
    """

    def __init__(self, python: str | None, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._python = sys.executable
        if python is None:
            if importlib.util.find_spec("pytest") is None:
                raise CapabilityError(
                    "pytest is not installed beside flashwasm; --python names the interpreter of "
                    "your project, and --dry-run only names the tests"
                )
            return
        found = shutil.which(python)
        if found is None:
            raise ShapeError(
                f"--python {python!r}: there is no such program; expected a path such as "
                ".venv/bin/python"
            )
        # The path must stay that of the environment, which may be a link to another interpreter.
        self._python = str(Path(found).absolute())
        done = self._call(["-c", "import pytest"], capture_output=True)
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise CapabilityError(
                f"--python {python!r} cannot import pytest: {reason}; "
                "install pytest there, or only name the tests with --dry-run"
            )

    def run(self, choice: Choice) -> int:
        """Run the chosen tests in their order, and return pytest's exit status."""
        return self._run(choice, [], None)

    def junit(self, choice: Choice) -> int:
        """Run the tests, and print the JUnit XML of the run; what pytest prints goes to stderr."""
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.xml")
            status = self._run(choice, [f"--junit-xml={report}"], _STDERR)
            if report.is_file():
                click.echo(report.read_text("utf-8"))
        return status

    def _run(self, choice: Choice, options: list[str], output: int | None) -> int:
        """Run the chosen tests and files; what pytest prints goes to stdout, or to another file."""
        with tempfile.TemporaryDirectory() as folder:
            names = Path(folder, "tests.txt")
            files = (Path(os.path.relpath(file, choice.root)).as_posix() for file in choice.files)
            names.write_text("\n".join([*choice.nodeids, *files]), "utf-8")
            # A file that cannot be read fails the run, and the other tests run nevertheless.
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
