"""``flashwasm probe``: show the features and backends that are available on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flashwasm.backends.hybrid.chooser import fastest
from flashwasm.capability_probe import backends, capabilities, hybrid_timings
from flashwasm.cli.options import json_option
from flashwasm.cli.output import echo_json, print_table

if TYPE_CHECKING:
    from flashwasm.backends.hybrid.timings import Seconds

__all__ = ["probe"]


@click.command()
@click.option(
    "--measure",
    is_flag=True,
    help="Also measure the speed-up of SIMD over scalar code, and the calls on each backend.",
)
@json_option
def probe(*, measure: bool, as_json: bool) -> None:
    """Show the features of the sandbox and the backends available on this machine.

    \b
    Example:
      flashwasm probe --measure
    """
    fields = asdict(capabilities(measure=measure))
    # The description of "hybrid" counts the timings, so they come first.
    timings = hybrid_timings() if measure else None
    found = backends()
    if as_json:
        echo_json({**fields, "backends": [asdict(b) for b in found], "timings": timings})
        return
    rows = [(name, _text(fields[name])) for name in fields]
    rows += [
        (f"backend {b.name}", b.description if b.available else f"no: {b.description}")
        for b in found
    ]
    print_table(("capability", "value"), rows, prose=("value",))
    if timings is not None:
        print_table(
            ("call", "hybrid takes", "milliseconds"),
            [(kind, fastest(seconds), _times(seconds)) for kind, seconds in timings.items()],
            prose=("call", "milliseconds"),
        )


def _times(seconds: Seconds) -> str:
    """Return the timings of one kind of call as text."""
    return ", ".join(f"{name} {1e3 * value:.3g}" for name, value in seconds.items())


def _text(value: object) -> str:
    """Return the value of a capability as text for people."""
    if value is None:
        return "not measured (--measure)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)
