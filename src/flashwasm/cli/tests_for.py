"""``flashwasm tests-for``: the tests that a change calls for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
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
from flashwasm.qe.changes.run_budget import parse_budget, within_budget
from flashwasm.qe.changes.selected_tests import (
    SelectedTest,
    change_text,
    changes_everything,
    rank_tests,
)
from flashwasm.qe.changes.unified_diff import read_diff
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.durations import read_times
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation

__all__ = ["tests_for"]

# Number of tests to run if the change touches none and no budget is given.
_WITHOUT_BUDGET = 50
# Names of the levels of `SelectedTest`. A test of a level up to _RUNS_CHANGED_FILES is touched by
# the change, or ran its lines or files.
_LEVELS = ("touched", "runs changed lines", "runs changed files", "named alike", "text alike")
_RUNS_CHANGED_FILES = 2


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
    "--conservative",
    is_flag=True,
    help="Leave out no test that the change might reach, whatever the budget.",
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
    conservative: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Run the tests that a change calls for, the most relevant first.

    First come the tests that the change touches. With --coverage, those that ran its lines come
    next, then those that ran its files. Then come those in files that are named after its files,
    and last those whose text resembles the change. Exit status: that of pytest. With --dry-run or
    --json, which run no test: 0 done, 1 nothing found.
    """
    limit = parse_budget(budget) if budget else None
    changes = read_diff(read_text(diff))
    if not changes:
        nothing_found("the diff changes nothing")
    coverage = None if database is None else CoverageIndex.load(database)
    seconds = {} if times is None else read_times(times)
    index = SuiteIndex.build(path, **embedding)
    note_missing(index.missing)
    ranked = rank_tests(index, changes, coverage)
    everything = changes_everything(changes) if conservative else None
    if conservative:
        # Without coverage, nothing says which tests a change cannot reach.
        whole = everything is not None or coverage is None
        chosen = ranked if whole else [s for s in ranked if s.level <= _RUNS_CHANGED_FILES]
    elif limit is not None:
        chosen = within_budget(ranked, limit, seconds)
    else:
        chosen = [s for s in ranked if s.level <= 1] or ranked[:_WITHOUT_BUDGET]
    if everything:
        note(f"every test is chosen, since any may depend on {everything}")
    text = change_text(changes)
    explanations = [index.explain(text, s.test) if explain else None for s in chosen]
    left_out = len(ranked) - len(chosen)
    if as_json:
        document = {
            "tests": [_json(s, shared) for s, shared in zip(chosen, explanations, strict=True)],
            "left_out": left_out,
            "missing": index.missing,
            "skipped": skipped_json(index.skipped),
        }
        echo_json(document)
    else:
        note_skipped(index.skipped)
        for selected, shared in zip(chosen, explanations, strict=True):
            if dry_run:
                _print(selected, shared)
        note(f"{len(chosen)} tests chosen, {left_out} left out")
    if not chosen:
        sys.exit(1)
    if not dry_run and not as_json:
        sys.exit(_run(chosen, index.root))


def _json(selected: SelectedTest, shared: Explanation | None) -> dict[str, object]:
    """Return a test for JSON, with the names and lines that it shares with the change, if given."""
    return {
        "nodeid": selected.test.nodeid,
        "level": _LEVELS[selected.level],
        "score": round(selected.score, 6),
        "reason": selected.reason,
        "components": {name: round(score, 6) for name, score in selected.components.items()},
        **({} if shared is None else shared_json(shared)),
    }


def _print(selected: SelectedTest, shared: Explanation | None) -> None:
    """Print a test, the reason for it, and the names and lines that it shares, if given."""
    click.echo(f"{selected.test.nodeid}\t{selected.reason}")
    if shared is not None:
        print_explanation(selected.components, shared)


def _run(chosen: list[SelectedTest], root: Path) -> int:
    """Run pytest on tests in their order; return its exit status."""
    if importlib.util.find_spec("pytest") is None:
        raise CapabilityError("pytest is not installed beside flashwasm; --dry-run names the tests")
    with tempfile.TemporaryDirectory() as folder:
        # pytest reads the node ids from a file, since a command line may be too short for them.
        file = Path(folder, "tests.txt")
        file.write_text("\n".join(selected.test.nodeid for selected in chosen), "utf-8")
        command = [sys.executable, "-m", "pytest", f"--rootdir={root}", f"@{file}"]
        return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 - fixed words.
