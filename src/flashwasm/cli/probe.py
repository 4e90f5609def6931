"""``flashwasm probe``: what the sandbox supports."""

from __future__ import annotations

from dataclasses import asdict

import click

from flashwasm.capability_probe import capabilities
from flashwasm.cli.options import json_option
from flashwasm.cli.output import echo_json, print_table

__all__ = ["probe"]


@click.command()
@click.option(
    "--measure", is_flag=True, help="Also measure how much faster SIMD is than scalar code."
)
@json_option
def probe(*, measure: bool, as_json: bool) -> None:
    """Say what the sandbox supports on this machine.

    \b
    Example:
      flashwasm probe --measure
    """
    fields = asdict(capabilities(measure=measure))
    if as_json:
        echo_json(fields)
    else:
        rows = [(name, _text(fields[name])) for name in fields]
        print_table(("capability", "value"), rows, prose=("value",))


def _text(value: object) -> str:
    """Return the value of a capability as people read it."""
    if value is None:
        return "not measured (--measure)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)
