"""The command `python -m bench reliability`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashwasm.cli.bench_options import output_options
from flashwasm.cli.output_file import OutputFile

if TYPE_CHECKING:
    from flashwasm.cli.bench_options import Outputs

__all__ = ["reliability"]


@click.command()
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="Duration of the soak.",
)
@click.option(
    "--calls",
    type=click.IntRange(min=100),
    default=20_000,
    show_default=True,
    help="Calls that must not make the process grow.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random choices.")
@click.option(
    "--log",
    metavar="FILE",
    type=OutputFile(),
    help="Append a line of JSON for each process.",
)
@output_options()
def reliability(minutes: float, calls: int, seed: int, log: Path | None, outputs: Outputs) -> None:
    """Make calls from several threads, with bad inputs and injected faults.

    Every result is compared with an oracle. Exit status 1: a result was wrong, memory leaked, or
    a process crashed.
    """
    # These modules load NumPy and rich, which `--help` should not.
    from bench.reliability.report import run_reliability  # noqa: PLC0415 - see above.
    from flashwasm.cli.output import note  # noqa: PLC0415 - see above.

    found = run_reliability(minutes, seed, calls, log, note)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables(), found.tally.failures)
    sys.exit(int(found.failed))
