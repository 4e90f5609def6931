"""Attention against its length: speed and memory, beside the same with stored scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import ops
from flashwasm.bench.operations.attending import attention_case
from flashwasm.bench.runner import checked_error, resident
from flashwasm.bench.timing import Effort, interleaved, timer
from flashwasm.flash_attention.materialized import materialized_attention
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flashwasm.bench.case import Array, Case, Inputs

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
HEADS, DIM = 8, 64
_EFFORT = Effort(seconds=2.0, least_rounds=3)


@dataclass(frozen=True)
class Length:
    """Attention at one length, one thread, on arrays in linear memory.

    Attributes
    ----------
    length : int
        Queries, and keys.
    causal : bool
        Whether a query sees only the keys up to its own.
    flash, materialized, scalar : float
        Seconds a call, best: `attention`, the same with stored scores by the same kernels, and
        `attention` of the scalar build; NaN for the last where it would take too long.
    rate : float
        GFLOP/s of the first; half as many operations where causal.
    flash_bytes, materialized_bytes : int
        Linear memory beyond operands and result, workspace included.
    """

    length: int
    causal: bool
    flash: float
    materialized: float
    scalar: float
    rate: float
    flash_bytes: int
    materialized_bytes: int


def run_lengths(lengths: Sequence[int] = LENGTHS) -> Iterator[Length]:
    """Measure attention at each length, full and causal."""
    for length in lengths:
        for causal in (False, True):
            yield _run(attention_case(HEADS, length, DIM, causal=causal), length, causal=causal)


# The scalar build takes ten times as long, whatever the length.
_LONGEST_SCALAR = 1024


def _run(case: Case, length: int, *, causal: bool) -> Length:
    inputs = case.make(np.random.default_rng(0))
    expected = case.oracle(*(x.astype(np.float64) for x in inputs))
    with Runtime(1) as fast, Runtime(1) as stored, Runtime(1, "scalar") as scalar:
        runs: dict[str, Callable[[], Array]] = {
            "flash": resident(case, fast, inputs),
            "materialized": _stored(stored, inputs, causal=causal),
        }
        if length <= _LONGEST_SCALAR:
            runs["scalar"] = resident(case, scalar, inputs)
        used = {}
        for name, runtime in (("flash", fast), ("materialized", stored)):
            used[name] = _bytes_of(runtime, runs[name], inputs)
        for name, run in runs.items():
            checked_error(case, name, run(), expected)
        times = interleaved({name: timer(run) for name, run in runs.items()}, _EFFORT)
    best = {name: found.best for name, found in times.items()}
    return Length(
        length,
        causal,
        best["flash"],
        best["materialized"],
        best.get("scalar", float("nan")),
        case.work / best["flash"] / 1e9,
        used["flash"],
        used["materialized"],
    )


def _bytes_of(runtime: Runtime, run: Callable[[], Array], inputs: Inputs) -> int:
    """Return linear memory beyond operands and result."""
    run()
    stats = runtime.stats()
    own = sum(x.nbytes for x in inputs) + inputs[0].nbytes
    return stats.bytes_peak - own + stats.bytes_workspace


def _stored(runtime: Runtime, inputs: Inputs, *, causal: bool) -> Callable[[], Array]:
    """Return attention that stores a head's scores; causal, it adds a mask to all of them."""
    length, dim = inputs[0].shape[1:]
    # Causal, the scale goes to the queries before any timing, in the baseline's favour.
    scale = np.float32(dim**-0.5 if causal else 1)
    q, k, v = (runtime.asarray(x) for x in (inputs[0] * scale, *inputs[1:]))
    out = runtime.empty(q.shape)
    if not causal:
        return lambda: materialized_attention(q, k, v, out=out, runtime=runtime)
    options: dict[str, Any] = {"runtime": runtime}
    mask = runtime.asarray(np.triu(np.full((length, length), -np.inf, np.float32), 1))
    scores = runtime.empty((length, length))

    def run() -> Array:
        for head in range(len(q)):
            ops.matmul(q[head], k[head].T, out=scores, **options)
            ops.vecadd(scores, mask, out=scores, **options)
            ops.softmax(scores, out=scores, **options)
            ops.matmul(scores, v[head], out=out[head], **options)
        return out

    return run
