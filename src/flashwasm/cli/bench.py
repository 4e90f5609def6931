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

__all__ = ["bench"]

_OPS = "ops"
# Commands that compare flashwasm with other libraries or evaluate its results. They are part of the
# repository, not of the wheel.
_IN_A_CHECKOUT = ("peers", "search", "quality", "adaptation")


class _MovedError(click.ClickException):
    """A command that only a checkout of the repository has."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(
            f"`flashwasm bench {name}` is not part of the package; run `python -m bench {name}` "
            "in a checkout of the repository"
        )


class _BenchGroup(click.Group):
    """A group of commands that runs ``ops`` if no command comes first."""

    default_command = _OPS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command first, and refuse a command that only a checkout has."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.default_command, *args]
        if args[0] in _IN_A_CHECKOUT:
            raise _MovedError(args[0])
        return super().parse_args(ctx, args)


@click.group(
    cls=_BenchGroup,
    epilog=f"Comparisons with other libraries: `python -m bench {'|'.join(_IN_A_CHECKOUT)}` in a "
    "checkout of the repository.",
)
def bench() -> None:
    """Measure speed and memory on this machine, beside NumPy.

    `flashwasm bench` is `flashwasm bench ops`. Options come after the command.

    Results are checked before anything is timed. flashwasm and NumPy use one thread unless a
    command says otherwise.

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
    """Time every operation beside NumPy and the scalar build.

    "best" and "median" are of calls on arrays in linear memory; "with copies" starts and ends in
    NumPy's memory.

    \b
    Example:
      flashwasm bench ops --op matmul --op softmax
    """
    _measure("ops", outputs, log, threads, operations)


@bench.command()
@log_options()
@output_options(html=True)
def attention(outputs: Outputs, log: LogChoice) -> None:
    """Measure attention at several lengths, beside attention that stores its scores.

    The figures are the speed, and the memory needed beyond the operands and the result.

    \b
    Example:
      flashwasm bench attention --html attention.html
    """
    _measure("attention", outputs, log)


@bench.command()
@bench_threads_option("Threads of NumPy.")
@log_options()
@output_options(targets=True, html=True)
def workloads(threads: int, outputs: Outputs, log: LogChoice) -> None:
    """Time the operations of quality engineering, with all threads.

    Figures are compared with the targets of the specification.

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
    """Run ops, attention and workloads.

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
    """Run a command's measurements, show how far they are, and report them."""
    # This comes before the imports below, because they load NumPy.
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
