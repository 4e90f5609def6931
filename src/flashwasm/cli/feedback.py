"""``flashwasm feedback``: record whether a test was a good answer for another."""

from __future__ import annotations

from pathlib import Path

import click

from flashwasm.cli.options import EXISTING_PATH, json_option
from flashwasm.cli.output import echo_json, no_tests, note
from flashwasm.errors import ShapeError
from flashwasm.qe.adaptation.feedback_log import FeedbackLog, Judgement
from flashwasm.qe.suites.collection import collect
from flashwasm.qe.suites.node_id_lookup import NodeIdLookup

__all__ = ["feedback"]


@click.command()
@click.argument("verdict", type=click.Choice(["accept", "reject"]))
@click.argument("query", metavar="A")
@click.argument("test", metavar="B")
@click.option(
    "--suite",
    "path",
    type=EXISTING_PATH,
    default=".",
    show_default=True,
    help="The suite that A and B are in.",
)
@click.option("--query", "asked", default="", help="Query as the user typed it.  [default: A]")
@click.option("--rank", type=click.IntRange(min=1), help="Rank of B among the results, from 1.")
@click.option(
    "--propensity",
    type=click.FloatRange(0, 1, min_open=True),
    help="Probability with which B was shown.",
)
@click.option(
    "--source", default="cli", show_default=True, help="Name of the program that records this."
)
@json_option
def feedback(
    verdict: str,
    query: str,
    test: str,
    path: Path,
    asked: str,
    rank: int | None,
    propensity: float | None,
    source: str,
    *,
    as_json: bool,
) -> None:
    """Record whether test B was a good answer for test A.

    A and B are node ids, or ends of node ids if only one test matches. The verdict is appended to
    the feedback log, from which `flashwasm adapt` learns. If there are several verdicts on the same
    pair, the last one counts. If `flashwasm similar --explore` showed B, the log already contains
    its rank and propensity.

    \b
    Example:
      flashwasm feedback accept test_cart.py::test_add test_cart.py::test_remove
    """
    suite = collect(path)
    if not suite.tests:
        raise ShapeError(no_tests(path))
    names = NodeIdLookup(suite.tests, suite.root)
    found = [names.find(name) for name in (query, test)]
    for name, position in zip((query, test), found, strict=True):
        if position is None:
            raise ShapeError(
                f"{name!r} is not a test in {path}; {names.nearest(name)}"
                "expected a node id or the end of one, as `pytest --collect-only -q` prints it"
            )
    a, b = (suite.tests[position].nodeid for position in found if position is not None)
    judgement = Judgement(
        a,
        b,
        accepted=verdict == "accept",
        asked=asked,
        rank=rank,
        propensity=propensity,
        source=source,
    )
    written = FeedbackLog().add(suite.root, judgement)
    if as_json:
        echo_json({"suite": str(suite.root), **written.as_dict()})
    else:
        note(f"{verdict}ed: {written.test} for {written.query}")
