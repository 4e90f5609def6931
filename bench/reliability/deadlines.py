"""Endless calls with a timeout: each must end in time, and the next call must be right.

    python -m bench.reliability.deadlines --times 6

Exit status 1: a call with a timeout of a fifth of a second took longer than a quarter of a second
or ended in another way, or the next call returned a wrong result.
"""

from __future__ import annotations

import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import flashwasm as fw
from bench.reliability.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    # Makes an endless call with a timeout.
    EndlessCall = Callable[[float], object]

__all__ = ["endless_calls", "measured_deadlines"]

TIMEOUT, LIMIT = 0.2, 0.25
_LONG = 1_000_000


def endless_calls(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield names of calls that take far longer than the timeout, and functions that make them.

    The argument of each function is the timeout. The arrays of one group of calls are freed before
    those of the next are created, because they would not fit into memory together.

    Parameters
    ----------
    rt : Runtime
        The runtime that the calls use.
    """
    for group in (_of_attention, _of_matmul, _of_long_rows, _of_top_k, _of_indexes, _of_asarray):
        yield from group(rt)


def _of_attention(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield attention of a million tokens, its gradient, and attention of packed sequences."""
    options: dict[str, Any] = {"runtime": rt}
    x = rt.asarray(np.broadcast_to(np.float32(1), (1, _LONG, 64)))
    yield "attention, a million tokens", lambda t: fw.attention(x, x, x, timeout=t, **options)
    outside = np.ones((16, 60_000, 64), np.float32)
    yield (
        "attention from NumPy",
        lambda t: fw.attention(outside, outside, outside, timeout=t, **options),
    )
    lse = np.zeros((1, _LONG), np.float32)
    yield (
        "attention_backward",
        lambda t: fw.attention_backward(x, x, x, x, x, lse, timeout=t, **options),
    )
    rows = x.reshape(_LONG, 1, 64)
    for name, starts in (("short", np.arange(0, _LONG + 1, 2)), ("long", np.array([0, _LONG]))):
        yield (
            f"attention_varlen, {name} sequences",
            partial(_timed, fw.attention_varlen, rows, rows, rows, starts, starts, runtime=rt),
        )


def _of_matmul(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield a product of large matrices, whose copies also take long."""
    matrix = np.ones((8, 5000, 5000), np.float32)
    yield "matmul from NumPy", lambda t: fw.matmul(matrix, matrix, timeout=t, runtime=rt)


def _of_long_rows(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield operations on a single row of 3e8 elements."""
    options: dict[str, Any] = {"runtime": rt}
    flat = rt.empty(300_000_000)
    flat[:] = 0.5
    row, column = flat[None], flat[:, None]
    yield "softmax, a row of 3e8", lambda t: fw.softmax(row, out=row, timeout=t, **options)
    yield "layer_norm, a row of 3e8", lambda t: fw.layer_norm(row, out=row, timeout=t, **options)
    yield "matmul, a dot product of 3e8", lambda t: fw.matmul(flat, flat, timeout=t, **options)
    yield (
        "mean_pool, a sequence of 3e8",
        lambda t: fw.mean_pool(column, [0, len(column)], timeout=t, **options),
    )


def _of_top_k(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield searches with a small and with a large k."""
    corpus, queries = rt.asarray(_vectors()), np.tile(_vectors()[:256], (64, 1))
    for k, count in ((10, len(queries)), (100_000, 256)):
        some = queries[:count]
        yield (
            f"cosine_top_k, k = {k:,}",
            partial(_timed, fw.cosine_top_k, some, corpus, k, runtime=rt),
        )


def _of_indexes(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield adding to and searching both kinds of index."""
    vectors = _vectors()
    many = np.tile(vectors, (8, 1))
    for kind in (fw.FlatIndex, fw.HNSWIndex):
        yield (
            f"{kind.__name__}.add",
            partial(_added, kind, rt, many),
        )
    flat, graph = fw.FlatIndex(128, runtime=rt), fw.HNSWIndex(128, runtime=rt)
    flat.add(vectors)
    graph.add(vectors[:2000])
    for k, count in ((10, 100_000), (20_000, 2000)):
        queries = vectors[:count]
        yield (
            f"FlatIndex.search, k = {k:,}",
            partial(_timed, flat.search, queries, k),
        )
    yield "HNSWIndex.search", lambda t: graph.search(vectors, 10, ef=2000, timeout=t)


def _of_asarray(rt: fw.Runtime) -> Iterator[tuple[str, EndlessCall]]:
    """Yield a copy of float16 to linear memory, which the runtime's own timeout ends."""
    source = np.ones(700_000_000, np.float16)

    def asarray(timeout: float) -> object:
        rt.timeout = timeout
        try:
            return rt.asarray(source, np.float32)
        finally:
            rt.timeout = None

    yield "asarray, 7e8 of float16", asarray


def _timed(function: Callable[..., object], *operands: object, **options: object) -> object:
    """Call a function with a timeout, which is the last operand."""
    *others, timeout = operands
    return function(*others, timeout=timeout, **options)


def _added(
    kind: type[fw.FlatIndex | fw.HNSWIndex], rt: fw.Runtime, vectors: Any, timeout: float
) -> None:
    """Add vectors to a new index."""
    kind(128, runtime=rt).add(vectors, timeout=timeout)


def _vectors() -> NDArray[np.float32]:
    """Return 400,000 vectors of 128 numbers."""
    return np.random.default_rng(0).standard_normal((400_000, 128), np.float32)


def measured_deadlines(
    times: int, threads: int, report: Callable[[Latencies], None] = lambda _: None
) -> list[Latencies]:
    """Make each endless call some times with a timeout, and return the times by kind.

    Parameters
    ----------
    times : int
        Number of calls of each kind.
    threads : int
        Threads of the runtime.
    report : callable
        Function that is called with the results of each kind.
    """
    small = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = []
    with fw.Runtime(threads=threads) as rt:
        expected = fw.attention(small, small, small, runtime=rt)
        for name, call in endless_calls(rt):
            latencies = Latencies(name, LIMIT)
            for _ in range(times):
                begin = perf_counter()
                try:
                    call(TIMEOUT)
                    latencies.faults.append("returned")
                except fw.DeadlineExceeded:
                    latencies.seconds.append(perf_counter() - begin)
                except fw.FlashWasmError as error:
                    latencies.faults.append(f"{type(error).__name__}: {error}")
                after = fw.attention(small, small, small, runtime=rt)
                if not np.array_equal(after, expected):
                    latencies.faults.append("the next call was wrong")
            found.append(latencies)
            report(latencies)
    return found


@click.command()
@click.option("--times", default=6, show_default=True, help="Calls of each kind.")
@click.option("--threads", default=2, show_default=True, help="Threads of the runtime.")
def main(times: int, threads: int) -> None:
    """Make endless calls with a timeout of 0.2 s, and print how long they took."""
    found = measured_deadlines(times, threads, lambda kind: click.echo(str(kind)))
    calls = sum(len(kind.seconds) + len(kind.faults) for kind in found)
    over, faults = sum(kind.over for kind in found), sum(len(kind.faults) for kind in found)
    click.echo(f"{calls} calls, {over} over {LIMIT} s, {faults} faults")
    sys.exit(int(any(kind.failed for kind in found)))


if __name__ == "__main__":
    main()
