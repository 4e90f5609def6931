"""Speed and memory of attention by length, compared with attention that stores its scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import ops
from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.measurement import resident
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.flash_attention.materialized import materialized_attention
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flashwasm.benchmarks.case import Array, Case, Inputs

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
HEADS, DIM = 8, 64
_EFFORT = Effort(seconds=2.0, least_rounds=3)
# The scalar build takes more than ten times as long, so it is not measured beyond this length.
_LONGEST_SCALAR = 1024


@dataclass(frozen=True)
class Length:
    """Attention at one length, on one thread and on resident arrays.

    Attributes
    ----------
    length : int
        Number of queries, and of keys.
    causal : bool
        True if a query sees only the keys up to its own position.
    flash, materialized, scalar : float
        Best seconds of a call: of `attention`, of attention that stores its scores on the same
        kernels, and of `attention` in the scalar build. The last is NaN if it was not measured.
    rate : float
        GFLOP/s of `attention`. Causal attention counts half as many operations.
    flash_bytes, materialized_bytes : int
        Linear memory beyond operands and result, including the workspace.
    quartiles : mapping of str to (float, float)
        First and third quartile of the seconds, by the name of the field with their best.
    """

    length: int
    causal: bool
    flash: float
    materialized: float
    scalar: float
    rate: float
    flash_bytes: int
    materialized_bytes: int
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def run_lengths(lengths: Sequence[int] = LENGTHS, effort: Effort = _EFFORT) -> Iterator[Length]:
    """Measure attention at each length, full and causal.

    Parameters
    ----------
    lengths : sequence of int
        Lengths to measure.
    effort : Effort, optional
        Duration of the measurement of each length.

    Yields
    ------
    Length
    """
    for length in lengths:
        for causal in (False, True):
            case = attention_case(HEADS, length, DIM, causal=causal)
            yield _run(case, length, effort, causal=causal)


def _run(case: Case, length: int, effort: Effort, *, causal: bool) -> Length:
    """Check and time attention at one length."""
    inputs = case.make(np.random.default_rng(0))
    expected = Expectation.of(case, inputs)
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
            expected.checked_error(name, run())
        times = interleaved({name: timer(run) for name, run in runs.items()}, effort)
    best = {name: found.best for name, found in times.items()}
    return Length(
        length=length,
        causal=causal,
        flash=best["flash"],
        materialized=best["materialized"],
        scalar=best.get("scalar", float("nan")),
        rate=case.work / best["flash"] / 1e9,
        flash_bytes=used["flash"],
        materialized_bytes=used["materialized"],
        quartiles={name: found.quartiles for name, found in times.items()},
    )


def _bytes_of(runtime: Runtime, run: Callable[[], Array], inputs: Inputs) -> int:
    """Return the linear memory that a call needs beyond operands and result."""
    run()
    stats = runtime.stats()
    own = sum(x.nbytes for x in inputs) + inputs[0].nbytes
    return stats.bytes_peak - own + stats.bytes_workspace


def _stored(runtime: Runtime, inputs: Inputs, *, causal: bool) -> Callable[[], Array]:
    """Return a call of attention that stores the scores of a head.

    If it is causal, it computes all scores and adds a mask to them.
    """
    length, dim = inputs[0].shape[1:]
    # For causal attention the queries are scaled here, outside the timing, which favours the
    # baseline.
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
