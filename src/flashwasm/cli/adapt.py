"""``flashwasm adapt``: train an adaptation on feedback, and use it if it ranks tests better."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.default_command import GroupWithDefault
from flashwasm.cli.embedding_options import Embedding, embedding_options
from flashwasm.cli.options import EXISTING_PATH, json_option
from flashwasm.cli.output import echo_json, echo_wrapped, note, nothing_found, print_table
from flashwasm.qe.adaptation.adaptation_store import AdaptationStore, Version
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.qe.adaptation.cross_validation import Verdict

__all__ = ["adapt"]

_TRAIN = "train"
_path_argument = click.argument("path", type=EXISTING_PATH, default=".")


class _TrainByDefault(GroupWithDefault):
    """A group that passes its arguments to ``train`` if they do not begin with a command's name."""

    default_command = _TRAIN


@click.group(cls=_TrainByDefault)
def adapt() -> None:
    """Learn from feedback, if a measurement shows that this helps.

    `flashwasm adapt PATH` is short for `flashwasm adapt train PATH`.

    \b
    Example:
      flashwasm adapt tests --report
    """


@adapt.command(_TRAIN)
@click.argument("path", type=EXISTING_PATH)
@click.option("--report", is_flag=True, help="Print all measurements.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random numbers in training and cross-validation.",
)
@click.option(
    "--fail-on-miss", is_flag=True, help="Exit with status 1 if no adaptation is activated."
)
@json_option
@embedding_options
def train(
    path: Path,
    seed: int,
    embedding: Embedding,
    *,
    report: bool,
    fail_on_miss: bool,
    as_json: bool,
) -> None:
    """Train an adaptation on a suite's feedback, and activate it if it helps.

    An adaptation changes the embeddings of tests, so that accepted tests rank higher. Five-fold
    cross-validation, split by file, measures the mean reciprocal rank (MRR) of accepted tests in
    files that were not used for training. The adaptation is activated if the bootstrapped 95 %
    confidence interval of the gain in MRR lies above zero. Otherwise nothing changes.

    \b
    Example:
      flashwasm adapt train tests --report
    """
    from flashwasm.qe.similarity.suite_adaptation import adapt_suite

    done = adapt_suite(path, seed=seed, **embedding)
    verdict = done.verdict
    activated = None if done.version is None else done.version.number
    if as_json:
        counts = {"judged": done.judged, "unknown": done.unknown}
        echo_json({"activated": activated, **counts, **verdict.as_dict()})
    else:
        if done.unknown:
            pairs = f"{done.unknown} of {counted(done.judged, 'judged pairs')}"
            note(f"{pairs} named a test that is not in {path}")
        for line in _report(verdict) if report else ():
            echo_wrapped(line)
        said = "nothing changes" if activated is None else f"version {activated} is active"
        echo_wrapped(f"{said}: {verdict.reason}{_gain(verdict)}")
    if fail_on_miss and activated is None:
        sys.exit(1)


@adapt.command()
@_path_argument
@json_option
def status(path: Path, *, as_json: bool) -> None:
    """Show the active adaptation; exit with status 1 if there is none.

    \b
    Example:
      flashwasm adapt status tests
    """
    active = _store(path).active()
    _print_active(active, as_json=as_json)
    if active is None:
        sys.exit(1)


@adapt.command()
@_path_argument
@json_option
def rollback(path: Path, *, as_json: bool) -> None:
    """Return to the previously active adaptation, or to none.

    \b
    Example:
      flashwasm adapt rollback tests
    """
    _print_active(_store(path).rollback(), as_json=as_json)


@adapt.command()
@_path_argument
@json_option
def history(path: Path, *, as_json: bool) -> None:
    """List every adaptation of a suite that has been activated.

    \b
    Example:
      flashwasm adapt history tests
    """
    store = _store(path)
    active, versions = store.active(), store.history()
    number = None if active is None else active.number
    if as_json:
        echo_json([{**asdict(version), "active": version.number == number} for version in versions])
    else:
        rows = [
            (str(v.number), v.created, *_ranks(v), "active" if v.number == number else "")
            for v in versions
        ]
        print_table(("version", "created", "MRR before", "after", ""), rows)
    if not versions:
        nothing_found(f"there is no adaptation of {path}")


def _store(path: Path) -> AdaptationStore:
    """Return the adaptations of the suite that a path belongs to."""
    return AdaptationStore(pytest_rootdir(path.absolute()))


def _print_active(version: Version | None, *, as_json: bool) -> None:
    """Print the active version, if there is one."""
    if as_json:
        echo_json({"active": None if version is None else asdict(version)})
    elif version is None:
        click.echo("no adaptation is active")
    else:
        before, after = _ranks(version)
        echo_wrapped(
            f"version {version.number} is active, made {version.created}: "
            f"held-out MRR {before} before, {after} after"
        )


def _ranks(version: Version) -> tuple[str, ...]:
    """Return the MRR before and after a version, as text."""
    found = (version.verdict.get(name) for name in ("before", "after"))
    return tuple(f"{x:.3f}" if isinstance(x, float) else "" for x in found)


def _gain(verdict: Verdict) -> str:
    """Return the measured gain in MRR as text; an empty text if nothing was measured."""
    if verdict.gain is None:
        return ""
    gain = verdict.gain
    return (
        f" (MRR {verdict.before:.3f} before, {verdict.after:.3f} after; "
        f"difference {gain.mean:+.3f}, {gain.low:+.3f} to {gain.high:+.3f} at 95 %)"
    )


def _report(verdict: Verdict) -> list[str]:
    """Return the lines that ``--report`` adds."""
    lines = [
        f"accepted pairs: {verdict.accepted}, rejected: {verdict.rejected}",
        f"held out: {counted(verdict.queries, 'queries')} of {counted(verdict.files, 'files')}",
    ]
    if verdict.agreement is not None:
        a = verdict.agreement
        lines.append(
            "accepted tests rank above others without adaptation in "
            f"{a.mean:.1%} of comparisons ({a.low:.1%} to {a.high:.1%} at 95 %)"
        )
    return lines
