"""Texts for GitHub Actions: annotations in the log, outputs of the step, and its summary.

The formats are GitHub's own: https://docs.github.com/en/actions/reference, "Workflow commands".
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.tests_for.choice import node_ids_of
from flashwasm.cli.tests_for.reports import names_from_here

if TYPE_CHECKING:
    from flashwasm.cli.tests_for.choice import Choice

__all__ = ["annotate", "annotate_nothing", "write_status"]

# Maximum number of tests in the summary's table. Further ones are only counted.
_ROWS = 100
# Maximum length of the output `tests`, in characters. GitHub allows a megabyte for all outputs of a
# job, and a shell's command line less. If the output is empty, the next step runs all tests.
_LONGEST_LIST = 100_000


def annotate(choice: Choice) -> None:
    """Print the notes as annotations, and write the outputs and the summary of the step."""
    for note in choice.notes():
        click.echo(
            f"::{'warning' if note.risk else 'notice'} title=flashwasm::{_escaped(note.text)}"
        )
    names = names_from_here(choice)
    tests = shlex.join(names)
    _append(
        "GITHUB_OUTPUT",
        f"tests={tests if len(tests) <= _LONGEST_LIST else ''}\n"
        f"count={len(names)}\nleft_out={len(choice.nodeids_left_out)}\n",
    )
    _append("GITHUB_STEP_SUMMARY", _summary(choice))


def annotate_nothing(reason: str) -> None:
    """Print the reason why there is no test to choose, and write the outputs of the step."""
    click.echo(f"::notice title=flashwasm::{_escaped(reason)}")
    _append("GITHUB_OUTPUT", "tests=\ncount=0\nran=false\n")


def write_status(status: int | None) -> None:
    """Write pytest's exit status, or None if it did not run, to the outputs of the step."""
    _append("GITHUB_OUTPUT", f"ran={str(status is not None).lower()}\n")
    if status is not None:
        _append("GITHUB_OUTPUT", f"status={status}\n")
        _append("GITHUB_STEP_SUMMARY", f"\npytest ended with status {status}.\n")


def _summary(choice: Choice) -> str:
    """Return the notes and a table of the tests in Markdown."""
    lines = ["### Tests for the change", ""]
    lines += [f"* {_cell(note.text)}" for note in choice.notes()]
    lines += ["", "| test | reason |", "|---|---|"]
    # A test that subclasses inherit has several node ids.
    rows = [(nodeid, one.reason) for one in choice.chosen for nodeid in node_ids_of([one])]
    lines += [f"| {_cell(nodeid)} | {_cell(reason)} |" for nodeid, reason in rows[:_ROWS]]
    if (more := len(rows) - _ROWS) > 0:
        lines.append(f"| and {more:,} more | |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    text = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#~" else c for c in text)


def _escaped(text: str) -> str:
    """Escape a text for a workflow command, as GitHub's own toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _append(variable: str, text: str) -> None:
    """Append a text to the file that an environment variable names, if it is set."""
    if name := os.environ.get(variable):
        try:
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            # The error of a full disk does not contain the name of the file.
            raise OSError(error.errno, error.strerror, name) from error
