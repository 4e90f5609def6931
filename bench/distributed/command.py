"""The command `python -m bench distributed`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flashwasm.cli.bench_options import output_options

if TYPE_CHECKING:
    from flashwasm.cli.bench_options import Outputs

__all__ = ["distributed"]


@click.command()
@click.option(
    "--keys",
    type=click.IntRange(min=1),
    default=4_000_000,
    show_default=True,
    help="Keys of attention. With their values they take 512 bytes each.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1000),
    default=1_000_000,
    show_default=True,
    help="Vectors of the search, of 384 numbers each.",
)
@click.option(
    "--memory", default="500MB", show_default=True, help="Memory limit of a worker of attention."
)
@output_options()
def distributed(keys: int, rows: int, memory: str, outputs: Outputs) -> None:
    """Compute attention and search on several processes, and kill one of them midway.

    Requires the extra dask. Exit status 1: an error above 1e-6, or results whose bytes differ. The
    speed of two workers is meaningful only on an idle machine.
    """
    # These modules load NumPy and rich, which `--help` should not.
    from bench.distributed.report import run_distributed  # noqa: PLC0415 - see above.
    from flashwasm.cli.output import note  # noqa: PLC0415 - see above.

    found = run_distributed(keys, rows, memory, note)
    outputs.write(found.as_dict(), found.markdown())
    outputs.show(found.tables(), [])
    sys.exit(int(found.failed))
