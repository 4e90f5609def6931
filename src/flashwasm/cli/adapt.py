"""``flashwasm adapt``: learn from feedback, where that is shown to help."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flashwasm.cli.output import (
    cache_option,
    echo_json,
    json_option,
    model_option,
    note,
    print_table,
    runtime_for,
    threads_option,
)
from flashwasm.qe.adaptation.store import AdaptationStore, Version
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir

if TYPE_CHECKING:
    from flashwasm.qe.adaptation.gate import Verdict

__all__ = ["adapt"]

_TRAIN = "train"


class _TrainByDefault(click.Group):
    """A group whose arguments are those of ``train`` where they name no command."""

    default_command = _TRAIN

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command first."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


def path_argument(command: Any) -> Any:
    """Add the suite's path, the working folder where it is left out."""
    kind = click.Path(exists=True, path_type=Path)
    return click.argument("path", type=kind, default=".")(command)


@click.group(cls=_TrainByDefault)
def adapt() -> None:
    """Learn from feedback, where that is shown to help.

    `flashwasm adapt PATH` is `flashwasm adapt train PATH`.
    """


@adapt.command(_TRAIN)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--report", is_flag=True, help="Say everything that was measured.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--fail-on-miss", is_flag=True, help="Exit status 1 where nothing is activated.")
@json_option
@model_option
@threads_option
@cache_option
def train(
    path: Path,
    seed: int,
    model: str | None,
    threads: int | None,
    *,
    report: bool,
    fail_on_miss: bool,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Adapt a suite's embeddings to the feedback on it, and activate that if it helps.

    It helps if tests of files that training did not see rank better: the mean reciprocal rank of
    accepted tests in five-fold cross-validation by file, with the bootstrap's interval of 95 %
    above zero. Otherwise nothing changes.
    """
    from flashwasm.qe.similarity.suite_adaptation import adapt_suite  # noqa: PLC0415 - loads the encoder.

    done = adapt_suite(
        path,
        model=model,
        seed=seed,
        progress=True,
        cache=not no_cache,
        runtime=runtime_for(threads),
    )
    verdict = done.verdict
    activated = None if done.version is None else done.version.number
    if as_json:
        counts = {"judged": done.judged, "unknown": done.unknown}
        echo_json({"activated": activated, **counts, **verdict.as_dict()})
    else:
        if done.unknown:
            note(f"{done.unknown} of {done.judged} judged pairs name a test that is not there")
        for line in _report(verdict) if report else ():
            click.echo(line)
        said = "nothing changes" if activated is None else f"version {activated} is active"
        click.echo(f"{said}: {verdict.reason}{_gain(verdict)}")
    if fail_on_miss and activated is None:
        sys.exit(1)


@adapt.command()
@path_argument
@json_option
def status(path: Path, *, as_json: bool) -> None:
    """Say which version is active."""
    active = _store(path).active()
    _say(active, as_json=as_json)
    if active is None:
        sys.exit(1)


@adapt.command()
@path_argument
@json_option
def rollback(path: Path, *, as_json: bool) -> None:
    """Go back to the version that was active before, or to none."""
    _say(_store(path).rollback(), as_json=as_json)


@adapt.command()
@path_argument
@json_option
def history(path: Path, *, as_json: bool) -> None:
    """List all versions."""
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
        note(f"there is no adaptation of {path}")
        sys.exit(1)


def _store(path: Path) -> AdaptationStore:
    return AdaptationStore(pytest_rootdir(path.absolute()))


def _say(version: Version | None, *, as_json: bool) -> None:
    """Print the active version."""
    if as_json:
        echo_json({"active": None if version is None else asdict(version)})
    elif version is None:
        click.echo("no adaptation is active")
    else:
        before, after = _ranks(version)
        click.echo(
            f"version {version.number} is active, made {version.created}: "
            f"held-out MRR {before} before, {after} after"
        )


def _ranks(version: Version) -> tuple[str, ...]:
    """Return the figures of a version as text."""
    found = (version.verdict.get(name) for name in ("before", "after"))
    return tuple(f"{x:.3f}" if isinstance(x, float) else "" for x in found)


def _gain(verdict: Verdict) -> str:
    if verdict.gain is None:
        return ""
    gain = verdict.gain
    return (
        f" (MRR {verdict.before:.3f} before, {verdict.after:.3f} after; "
        f"difference {gain.mean:+.3f}, {gain.low:+.3f} to {gain.high:+.3f} at 95 %)"
    )


def _report(verdict: Verdict) -> list[str]:
    """Return the lines of ``--report``."""
    lines = [
        f"accepted pairs: {verdict.accepted}, rejected: {verdict.rejected}",
        f"held out: {verdict.queries} queries of {verdict.files} files",
    ]
    if verdict.agreement is not None:
        a = verdict.agreement
        lines.append(
            "accepted tests rank above others without adaptation in "
            f"{a.mean:.1%} of comparisons ({a.low:.1%} to {a.high:.1%} at 95 %)"
        )
    return lines
