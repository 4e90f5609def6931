"""``flashwasm tests-for``: the tests that a change calls for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.output import (
    cache_option,
    echo_json,
    explain_option,
    explained,
    json_option,
    model_option,
    note,
    note_missing,
    note_skipped,
    read_text,
    runtime_for,
    shared_json,
    skipped_json,
    threads_option,
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
from flashwasm.qe.coverage.index import CoverageIndex
from flashwasm.qe.defects.reports import read_times
from flashwasm.qe.similarity.suite_index import SuiteIndex

if TYPE_CHECKING:
    from flashwasm.qe.similarity.explanation import Explanation

__all__ = ["tests_for"]

# Tests that only their text speaks for, where no budget says how many.
_BY_TEXT = 50
_LEVELS = ("touched", "runs changed lines", "runs changed files", "named alike", "text alike")
# The last level of tests that run lines of a changed file.
_RUNS_CHANGED_FILES = 2


@click.command("tests-for")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--diff", "diff", required=True, metavar="FILE|-", help="A unified diff.")
@click.option(
    "--coverage",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A coverage.py database with test contexts, made before the change.",
)
@click.option("--budget", help="At most so many tests, or what runs in so long: 60s, 2m.")
@click.option(
    "--times",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JUnit XML of an earlier run, for --budget; else 0.1 s a test.",
)
@click.option("--dry-run", is_flag=True, help="Name the tests and why, and run none.")
@click.option(
    "--conservative",
    is_flag=True,
    help="Leave no test out that the change might reach; --budget does not count then.",
)
@explain_option
@json_option
@model_option
@threads_option
@cache_option
def tests_for(
    path: Path,
    diff: str,
    database: Path | None,
    budget: str | None,
    times: Path | None,
    model: str | None,
    threads: int | None,
    *,
    dry_run: bool,
    conservative: bool,
    explain: bool,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Run the tests that a change calls for, the most relevant first.

    Those that the change touches come first, then, by --coverage, those that ran its lines or its
    files, then those in files that are named after its files, then those whose text is like the
    change's. Exit status: pytest's, or of --dry-run and --json, which
    runs nothing either, 0 done and 1 nothing found.
    """
    limit = parse_budget(budget) if budget else None
    changes = read_diff(read_text(diff))
    if not changes:
        note("the diff changes nothing")
        sys.exit(1)
    coverage = None if database is None else CoverageIndex.load(database)
    seconds = {} if times is None else read_times(times)
    index = SuiteIndex.build(
        path, model=model, progress=True, cache=not no_cache, runtime=runtime_for(threads)
    )
    note_missing(index.missing)
    ranked = rank_tests(index, changes, coverage)
    everything = changes_everything(changes) if conservative else None
    if conservative:
        # Without coverage nothing tells what a change cannot reach.
        whole = everything is not None or coverage is None
        chosen = ranked if whole else [s for s in ranked if s.level <= _RUNS_CHANGED_FILES]
    elif limit is not None:
        chosen = within_budget(ranked, limit, seconds)
    else:
        sure = [s for s in ranked if s.level <= 1]
        chosen = sure or ranked[:_BY_TEXT]
    if everything:
        note(f"every test is chosen, since any may depend on {everything}")
    left_out = len(ranked) - len(chosen)
    text = change_text(changes)

    def shared(selected: SelectedTest) -> list[Explanation]:
        return [index.explain(text, selected.test)] if explain else []

    if as_json:
        echo_json(
            {
                "tests": [_json(selected, *shared(selected)) for selected in chosen],
                "left_out": left_out,
                "missing": index.missing,
                "skipped": skipped_json(index.skipped),
            }
        )
    else:
        note_skipped(index.skipped)
        if dry_run:
            _print(chosen, shared)
        note(f"{len(chosen)} tests chosen, {left_out} left out")
    if not chosen:
        sys.exit(1)
    if not dry_run and not as_json:
        sys.exit(_run(chosen, index.root))


def _json(selected: SelectedTest, *shared: Explanation) -> dict[str, object]:
    return {
        "nodeid": selected.test.nodeid,
        "level": _LEVELS[selected.level],
        "score": round(selected.score, 6),
        "reason": selected.reason,
        "components": {name: round(score, 6) for name, score in selected.components.items()},
        **{key: value for found in shared for key, value in shared_json(found).items()},
    }


def _print(chosen: list[SelectedTest], shared: Callable[[SelectedTest], list[Explanation]]) -> None:
    for selected in chosen:
        click.echo(f"{selected.test.nodeid}\t{selected.reason}")
        for found in shared(selected):
            click.echo("\n".join(explained(selected.components, found)))


def _run(chosen: list[SelectedTest], root: Path) -> int:
    """Run pytest on tests in their order; return its exit status."""
    if importlib.util.find_spec("pytest") is None:
        raise CapabilityError("pytest is not installed beside flashwasm; --dry-run names the tests")
    with tempfile.TemporaryDirectory() as folder:
        # A command line may be too short for a thousand node ids.
        file = Path(folder, "tests.txt")
        file.write_text("\n".join(selected.test.nodeid for selected in chosen), "utf-8")
        command = [sys.executable, "-m", "pytest", f"--rootdir={root}", f"@{file}"]
        return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 - ours.
