"""``flashwasm tests-for``: the tests that a change calls for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.input import read_text
from flashwasm.cli.options import (
    EXISTING_PATH,
    FILE,
    coverage_option,
    explain_option,
    json_option,
)
from flashwasm.cli.output import (
    echo_json,
    note,
    note_missing,
    note_skipped,
    nothing_found,
    print_explanation,
    shared_json,
    skipped_json,
)
from flashwasm.errors import CapabilityError
from flashwasm.qe.changes.evidence import change_text
from flashwasm.qe.changes.run_budget import parse_budget, within_budget
from flashwasm.qe.changes.safe_selection import SafeSelection, safe_selection
from flashwasm.qe.changes.selected_tests import SelectedTest
from flashwasm.qe.changes.unified_diff import read_diff
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.durations import read_times
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation

__all__ = ["tests_for"]

# Number of tests, or of lines, that a note names. The rest are counted.
_NAMED_AT_MOST = 10
# Names of the levels of `SelectedTest`.
_LEVELS = ("touched", "runs changed lines", "evidence")


@click.command("tests-for")
@click.argument("path", type=EXISTING_PATH)
@click.option(
    "--diff", "diff", required=True, metavar="FILE|-", help="A unified diff, or - for stdin."
)
@coverage_option(", made before the change")
@click.option(
    "--budget", help="Largest number of tests, or of seconds (60s) or minutes (2m) that they take."
)
@click.option(
    "--times",
    metavar="F",
    type=FILE,
    help="JUnit XML of an earlier run, with the time of each test for --budget.  "
    "[default: 0.1 s a test]",
)
@click.option("--dry-run", is_flag=True, help="Name the tests and the reasons, and run none.")
@click.option(
    "--likely",
    is_flag=True,
    help="Take fewer tests and risk to miss some: only those that the change touches or whose "
    "lines it changes, or else the 50 most similar ones.",
)
@click.option(
    "--conservative",
    is_flag=True,
    help="Leave out no test that the change may reach, whatever the budget. Without a budget this "
    "is the default.",
)
@explain_option
@json_option
@embedding_options
def tests_for(
    path: Path,
    diff: str,
    database: Path | None,
    budget: str | None,
    times: Path | None,
    embedding: Embedding,
    *,
    dry_run: bool,
    likely: bool,
    conservative: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Run every test that a change may reach, the most relevant first.

    With --coverage, a changed line selects the tests that ran its function. A line that runs at
    import, or that no test ran, selects all tests whose files depend on its module by imports.
    Without --coverage the imports decide for all lines. Tests that the change touches come first,
    then those that ran its lines, its files, and those in files that are named after its files.
    Exit status: that of pytest. With --dry-run or --json, which run no test: 0 done, 1 nothing
    found.
    """
    if likely and conservative:
        raise click.UsageError("--likely and --conservative exclude each other")
    limit = parse_budget(budget) if budget else None
    changes = read_diff(read_text(diff))
    if not changes:
        nothing_found("the diff changes nothing")
    coverage = None if database is None else CoverageIndex.load(database)
    seconds = {} if times is None else read_times(times)
    index = SuiteIndex.build(path, **embedding)
    note_missing(index.missing)
    selection = safe_selection(index, changes, coverage)
    if limit is not None and not conservative:
        ordered = selection.by_relevance() if likely else [*selection.sure, *selection.rest]
        chosen = within_budget(ordered, limit, seconds)
    else:
        chosen = selection.likely() if likely else selection.sure or selection.likely()
    text = change_text(changes)
    explanations = [index.explain(text, s.test) if explain else None for s in chosen]
    if as_json:
        found = [_json(s, shared) for s, shared in zip(chosen, explanations, strict=True)]
        more = {"missing": index.missing, "skipped": skipped_json(index.skipped)}
        echo_json({"tests": found, **_left_out_json(selection, chosen), **more})
    else:
        note_skipped(index.skipped)
        for selected, shared in zip(chosen, explanations, strict=True):
            if dry_run:
                _print(selected, shared)
        _note_choice(selection, chosen)
    files = [] if likely or limit is not None else [one.path for one in selection.unread]
    if not chosen and not files:
        sys.exit(1)
    if not dry_run and not as_json:
        sys.exit(_run(chosen, files, index.root))


def _not_fitting(selection: SafeSelection, chosen: list[SelectedTest]) -> list[str]:
    """Return the node ids of the tests that the change may reach and that were not chosen."""
    ids = {selected.test.nodeid for selected in chosen}
    return [s.test.nodeid for s in selection.sure if s.test.nodeid not in ids]


def _why_left_out(selection: SafeSelection) -> str:
    """Return the reason why the tests were left out that the change does not reach."""
    if not selection.sure:
        return "they resemble the change less; no test is known to reach it"
    return "no changed line is known to reach the others"


def _left_out_json(selection: SafeSelection, chosen: list[SelectedTest]) -> dict[str, object]:
    """Return for JSON what was left out and why, and the changed lines that no test covers."""
    return {
        "left_out": len(selection.sure) + len(selection.rest) - len(chosen),
        "left_out_reason": _why_left_out(selection),
        "sure_left_out": _not_fitting(selection, chosen),
        "everything": selection.everything,
        "uncovered": selection.uncovered,
        "unmeasured": selection.unmeasured,
    }


def _note_choice(selection: SafeSelection, chosen: list[SelectedTest]) -> None:
    """Say on stderr what was left out and why, and which changed lines no test covers."""
    if selection.everything is not None:
        note(f"any test may depend on {selection.everything}, so the change may reach every test")
    for path, lines in selection.uncovered.items():
        note(f"no test covers {path}: {_some(map(str, lines))}")
    for path in selection.unmeasured:
        note(f"the coverage database has no lines of {path}, or not of it alone")
    for one in selection.unread:
        note(f"changed, but not readable: {one.path}: {one.reason}")
    if missed := _not_fitting(selection, chosen):
        note(f"{len(missed)} tests that the change may reach are left out: {_some(missed)}")
    left_out = len(selection.sure) + len(selection.rest) - len(chosen)
    if left_out > len(missed):
        note(f"{left_out - len(missed)} other tests are left out: {_why_left_out(selection)}")
    note(f"{len(chosen)} tests chosen, {left_out} left out")


def _some(names: Iterable[str]) -> str:
    """Return the first few of some names, and the number of the others."""
    listed = list(names)
    more = len(listed) - _NAMED_AT_MOST
    return ", ".join(listed[:_NAMED_AT_MOST]) + (f", and {more} more" if more > 0 else "")


def _json(selected: SelectedTest, shared: Explanation | None) -> dict[str, object]:
    """Return a test for JSON, with the names and lines that it shares with the change, if given."""
    return {
        "nodeid": selected.test.nodeid,
        "also": list(selected.test.also),
        "level": _LEVELS[selected.level],
        "score": round(selected.score, 6),
        "reason": selected.reason,
        "components": {name: round(score, 6) for name, score in selected.components.items()},
        **({} if shared is None else shared_json(shared)),
    }


def _print(selected: SelectedTest, shared: Explanation | None) -> None:
    """Print a test, the reason for it, and the names and lines that it shares, if given."""
    for nodeid in (selected.test.nodeid, *selected.test.also):
        click.echo(f"{nodeid}\t{selected.reason}")
    if shared is not None:
        print_explanation(selected.components, shared)


def _run(chosen: list[SelectedTest], files: list[Path], root: Path) -> int:
    """Run pytest on tests in their order, and on whole files; return its exit status."""
    if importlib.util.find_spec("pytest") is None:
        raise CapabilityError("pytest is not installed beside flashwasm; --dry-run names the tests")
    names = [name for one in chosen for name in (one.test.nodeid, *one.test.also)]
    with tempfile.TemporaryDirectory() as folder:
        # pytest reads the node ids from a file, since a command line may be too short for them.
        file = Path(folder, "tests.txt")
        file.write_text("\n".join([*names, *map(str, files)]), "utf-8")
        # A file that cannot be read fails the run, and the other tests run nevertheless.
        options = ["--continue-on-collection-errors"] if files else []
        command = [sys.executable, "-m", "pytest", f"--rootdir={root}", *options, f"@{file}"]
        return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 - fixed words.
