"""`flashwasm bench`: a command for each set of measurements on this machine."""

from __future__ import annotations

import click

from flashwasm.cli.bench_options import (
    LogChoice,
    Outputs,
    bench_threads_option,
    check_operations,
    limit_numpy,
    log_options,
    operation_option,
    output_options,
)
from flashwasm.cli.default_command import GroupWithDefault

__all__ = ["bench"]

_OPS = "ops"
# Commands that compare flashwasm with other libraries or evaluate its results. The repository
# contains them; the wheel does not.
_IN_A_CHECKOUT = ("peers", "search", "quality", "adaptation")


class _MovedError(click.ClickException):
    """The error for a command that only a checkout of the repository contains."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"`flashwasm bench {name}` is not part of the package; run `python -m bench {name}` "
            "in a checkout of the repository"
        )


class _BenchGroup(GroupWithDefault):
    """A group of commands that runs ``ops`` if the first argument is an option or missing."""

    default_command = _OPS

    def takes_default(self, ctx: click.Context, args: list[str]) -> bool:
        """Return True for options and for no arguments, unless a shell asks how these go on."""
        if not args:
            return not ctx.resilient_parsing
        return args[0].startswith("-") and args[0] not in ctx.help_option_names

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command, and refuse a command that only a checkout contains."""
        if args and args[0] in _IN_A_CHECKOUT:
            raise _MovedError(args[0])
        return super().parse_args(ctx, args)


@click.group(
    cls=_BenchGroup,
    epilog=f"Comparisons with other libraries: `python -m bench {'|'.join(_IN_A_CHECKOUT)}` in a "
    "checkout of the repository.",
)
def bench() -> None:
    """Measure speed and memory on this machine, in comparison with NumPy.

    `flashwasm bench` alone runs `flashwasm bench ops`. Options follow the name of the command.

    flashwasm checks the results of every operation before it times the operation. flashwasm and
    NumPy use one thread unless the help of a command says otherwise.

    \b
    Example:
      flashwasm bench attention --html attention.html
    """


@bench.command(_OPS)
@operation_option
@bench_threads_option()
@log_options()
@output_options(html=True)
def ops(operations: tuple[str, ...], threads: int, outputs: Outputs, log: LogChoice) -> None:
    """Time every operation, in comparison with NumPy and with the scalar build.

    "best" and "median" time calls on arrays that are already in the sandbox's linear memory. "with
    copies" is the best time of calls that also copy the operands in and the result out.

    \b
    Example:
      flashwasm bench ops --op matmul --op softmax
    """
    _measure("ops", outputs, log, threads, operations)


@bench.command()
@log_options()
@output_options(html=True)
def attention(outputs: Outputs, log: LogChoice) -> None:
    """Measure attention at several lengths, in comparison with attention that stores its scores.

    The report shows the speed, and the memory needed in addition to the operands and the result.

    \b
    Example:
      flashwasm bench attention --html attention.html
    """
    _measure("attention", outputs, log)


@bench.command()
@bench_threads_option("Number of threads for NumPy.")
@log_options()
@output_options(targets=True, html=True)
def workloads(threads: int, outputs: Outputs, log: LogChoice) -> None:
    """Time the quality-engineering workloads, with all threads.

    The report compares each time with its target.

    \b
    Example:
      flashwasm bench workloads --json workloads.json
    """
    _measure("workloads", outputs, log, threads)


@bench.command("all")
@operation_option
@bench_threads_option()
@log_options()
@output_options(targets=True, html=True)
def everything(operations: tuple[str, ...], threads: int, outputs: Outputs, log: LogChoice) -> None:
    """Run `ops`, `attention` and `workloads`.

    \b
    Example:
      flashwasm bench all --log run.jsonl --markdown speed.md
    """
    _measure("all", outputs, log, threads, operations)


def _measure(
    suite: str,
    outputs: Outputs,
    log: LogChoice,
    threads: int = 1,
    operations: tuple[str, ...] = (),
) -> None:
    """Run the measurements of a command with a progress display, and report the results."""
    # NumPy reads the limit when it is loaded, so this must come before the imports below.
    numpy_threads = limit_numpy(threads)
    from flashwasm.benchmarks.report import machine  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli import bench_steps  # noqa: PLC0415 - it loads NumPy.
    from flashwasm.cli.bench_report import SPREAD_NOTE, Findings  # noqa: PLC0415 - as above.

    check_operations(operations, bench_steps.known_operations())
    steps = bench_steps.own_steps(suite, operations, threads)
    found = Findings(machine(threads, numpy_threads))
    options = {"command": suite, "--op": list(operations)}
    with bench_steps.shown(len(steps)) as begin:
        bench_steps.run_steps(steps, found, log.open({**found.facts, **options}, len(steps)), begin)
    outputs.write(found.as_dict(), found.markdown())
    notes = [SPREAD_NOTE] if suite == _OPS else found.notes()
    outputs.show(found.tables(), notes)
    outputs.end(missed=found.missed)
