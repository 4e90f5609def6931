"""Targets of operations, and the judgement of a run by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.peers.runner import FLOAT32, OURS
from flashwasm.kernel_table import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.peers.runner import Measurement
    from bench.peers.table import Presence
    from bench.scaling import Scaling
    from bench.smallest import Overheads

Status = Literal["met", "missed", "not measured"]

# The peers that compute in WebAssembly. @ruvector/attention is a native addon.
WASM_PEERS = ("onnxruntime-web", "tfjs")

PEAK = "share of peak"
SHORT = "rate over that of 512"
BEYOND = "MB beyond operands, a thread"
CALL = "µs a call"
OVER_DOT = "time over that of dot"

SQUARE = "matmul 512x512 @ 512x512"
WIDE = "matmul 512x384 @ 384x1536"
AT_512, AT_2048 = "attention 12x512x64", "attention 12x2048x64"
AT_4096 = "attention 8x4096x64"
SOFTMAX, LAYER_NORM = "softmax 512x512", "layer_norm 512x384"
SMALLEST, IMPORT, FIRST = "smallest call", "import flashwasm", "first attention"
LARGE = "matmul 1024x1024 @ 1024x1024"
VECADD, EMBEDDING = "vecadd 1048576", "embedding 512 of 30522x384"
CODES, ENCODER = "matmul_i8 512x384 @ 384x1536", "encoder 256 texts"
ENCODER_INT8 = "flashwasm int8"


@dataclass(frozen=True)
class Target:
    """A figure and its limit.

    Attributes
    ----------
    subject : str
        Name of a case, or of something else that is measured.
    quantity : str
        One of this module's quantities, or the name of a peer, which means the package's speed over
        that peer's. Several names, separated by commas, mean the best of those peers.
    bound : float
        Value that the figure should reach.
    at_most : bool
        True if the figure should be at most the bound, False if at least.
    contender : str
        Row of the case that the figure is of.
    """

    subject: str
    quantity: str
    bound: float
    at_most: bool = False
    contender: str = OURS


@dataclass(frozen=True)
class Verdict:
    """A target with the measured figure.

    Attributes
    ----------
    target : Target
        The target.
    figure : float
        The measured figure; NaN if there is none.
    status : {"met", "missed", "not measured"}
        "not measured" also marks a figure that allows no verdict. One example is a ratio to the
        best of two peers of which one is absent: the absent one might be faster. Another is two
        threads while a second program used one of the two CPUs.
    why : str
        The reason why it was not measured.
    """

    target: Target
    figure: float
    status: Status
    why: str = ""


_NOT_RUN = "not run here"
_WASM = ", ".join(WASM_PEERS)
_SEARCH = "cosine_top_k 10 for {} of 60000x384"
_CAUSAL = tuple(f"{name} causal" for name in (AT_512, AT_2048))

TARGETS = (
    *(Target(name, PEAK, 0.82) for name in (SQUARE, WIDE)),
    *(Target(name, _WASM, 1.5) for name in (SQUARE, WIDE)),
    Target(CODES, FLOAT32, 1.8),
    *(Target(name, PEAK, 0.74) for name in (AT_512, AT_2048)),
    *(Target(name, _WASM, 1.8) for name in (AT_512, AT_2048)),
    *(Target(name, "PyTorch", 0.55) for name in (AT_512, AT_2048)),
    *(Target(name, PEAK, 0.68) for name in _CAUSAL),
    *(Target(name, _WASM, 3.5) for name in _CAUSAL),
    *(Target(name, "NumPy", 2.0) for name in _CAUSAL),
    *(Target(name, "ONNX Runtime", 1.0) for name in _CAUSAL),
    Target(AT_4096, SHORT, 0.9),
    Target(AT_4096, BEYOND, 2.0, at_most=True),
    Target(AT_4096, "NumPy", 1.0),
    *(Target(name, "NumPy", 1.3) for name in (SOFTMAX, LAYER_NORM)),
    *(Target(name, _WASM, 1.5) for name in (SOFTMAX, LAYER_NORM)),
    Target(SOFTMAX, "PyTorch", 0.7),
    Target(LAYER_NORM, "PyTorch", 0.8),
    *(Target(name, "NumPy", 0.9) for name in (VECADD, EMBEDDING)),
    Target(ENCODER, OURS, 1.6, contender=ENCODER_INT8),
    Target(ENCODER, "ONNX Runtime", 0.7, contender=ENCODER_INT8),
    *(Target(f"attention {size}", CALL, 15.0, at_most=True) for size in ("1x1x64", "1x16x64")),
    *(Target(f"attention {size}", "NumPy", 1.0) for size in ("12x64x64", "12x128x64")),
    *(
        Target(f"matmul {size}", CALL, 12.0, at_most=True)
        for size in ("64x64 @ 64x64", "1x384 @ 384x384")
    ),
    *(Target(f"{_SEARCH.format(1)}, {metric}", "NumPy", 0.9) for metric in METRICS),
    *(Target(f"{_SEARCH.format(4)}, {metric}", "NumPy", 2.0) for metric in METRICS),
    *(
        Target(f"{_SEARCH.format(64)}, {metric}", OVER_DOT, 1.15, at_most=True)
        for metric in ("cosine", "l2")
    ),
    *(
        Target(f"kv_cache 12x1x64 of 4096, {dtype}", "NumPy", bound)
        for dtype, bound in (("float32", 1.0), ("float16", 1.0), ("int8", 2.0))
    ),
    Target(SMALLEST, "µs over NumPy's", 4.0, at_most=True),
    *(Target(name, "two threads over one", 1.85) for name in (AT_2048, LARGE)),
    Target(IMPORT, "ms beyond NumPy's", 30.0, at_most=True),
    Target(FIRST, "ms after import", 60.0, at_most=True),
)


def judge(
    measurements: Sequence[Measurement],
    presences: Sequence[Presence],
    overheads: Overheads | None,
    scaling: Mapping[str, Scaling | None],
    threads: int,
) -> list[Verdict]:
    """Compare the figures of a run with every target.

    Parameters
    ----------
    measurements : sequence of Measurement
        The cases that were measured.
    presences : sequence of Presence
        All peers, each with its version or the reason why it is absent.
    overheads : Overheads or None
        Times that do not grow with the work, if they were measured.
    scaling : mapping of str to Scaling or None
        Gain of a second thread, by the name of the case.
    threads : int
        Threads that the cases ran on.

    Returns
    -------
    list of Verdict
        A verdict for each of `TARGETS`, in that order.
    """
    by_name = {m.name: m for m in measurements}
    alone: dict[str, float | None] = dict.fromkeys((SMALLEST, IMPORT, FIRST))
    if overheads is not None:
        alone[SMALLEST] = overheads.smallest_call * 1e6
        alone[IMPORT] = overheads.import_ * 1e3
        alone[FIRST] = overheads.first_call * 1e3
    absent = {p.name for p in presences if p.missing}
    verdicts = []
    for target in TARGETS:
        if target.subject in alone:
            verdicts.append(held_against(target, alone[target.subject], _NOT_RUN))
        elif target.quantity == "two threads over one":
            verdicts.append(_scaled(target, scaling.get(target.subject)))
        elif target.subject not in by_name:
            verdicts.append(held_against(target, None, _NOT_RUN))
        elif target.quantity in {PEAK, SHORT, BEYOND, CALL}:
            figure = _own_figure(target, by_name, threads)
            verdicts.append(held_against(target, figure, f"{AT_512} was not run"))
        elif target.quantity == OVER_DOT:
            verdicts.append(_over_dot(target, by_name))
        else:
            verdicts.append(_against(target, by_name[target.subject], absent))
    return verdicts


def _own_figure(
    target: Target, measurements: Mapping[str, Measurement], threads: int
) -> float | None:
    """Return a figure that needs no peer, or None if the shorter attention was not run."""
    measurement = measurements[target.subject]
    row = measurement.own
    if target.quantity == BEYOND:
        return measurement.bytes_beyond / threads / 1e6
    if target.quantity == CALL:
        return row.best * 1e6
    share = measurement.share_of_peak(row) / threads
    if target.quantity == PEAK:
        return share
    if AT_512 not in measurements:
        return None
    # A machine's speed varies, so each rate is divided by the peak that was measured beside it.
    short = measurements[AT_512]
    return share * threads / short.share_of_peak(short.own)


def _over_dot(target: Target, measurements: Mapping[str, Measurement]) -> Verdict:
    """Judge the time of a search by one metric over that of the same search by the dot product."""
    case, _, _ = target.subject.rpartition(", ")
    dot = measurements.get(f"{case}, dot")
    if dot is None:
        return held_against(target, None, f"{case}, dot was not run")
    return held_against(target, measurements[target.subject].own.best / dot.own.best)


def _scaled(target: Target, scaling: Scaling | None) -> Verdict:
    """Judge two threads over one.

    A target does not count as missed if the machine did not have two free CPUs.
    """
    if scaling is None:
        return held_against(target, None, _NOT_RUN)
    verdict = held_against(target, scaling.speedup)
    if verdict.status == "missed" and scaling.machine < target.bound:
        why = f"the machine itself gave two threads {scaling.machine:.2f}x"
        return Verdict(target, scaling.speedup, "not measured", why)
    return verdict


def _against(target: Target, measurement: Measurement, absent: set[str]) -> Verdict:
    """Judge the speed over that of the best of some peers."""
    names = target.quantity.split(", ")
    ours = measurement.row(target.contender)
    if ours is None or not ours.timed:
        return held_against(target, None, f"{target.contender} was not timed")
    best = min(
        (row.best for name in names if (row := measurement.row(name)) and row.timed),
        default=math.nan,
    )
    away = [name for name in names if name in absent]
    why = f"{', '.join(away)} absent" if away else "no peer could run it"
    verdict = held_against(target, None if math.isnan(best) else best / ours.best, why)
    if away and verdict.status == "met":
        return Verdict(target, verdict.figure, "not measured", why)
    return verdict


def held_against(target: Target, figure: float | None, why: str = "") -> Verdict:
    """Return the verdict on a figure.

    Parameters
    ----------
    target : Target
        The target.
    figure : float or None
        The figure; None or NaN if it was not measured.
    why : str
        The reason why it was not measured.
    """
    if figure is None or math.isnan(figure):
        return Verdict(target, math.nan, "not measured", why)
    reached = figure <= target.bound if target.at_most else figure >= target.bound
    return Verdict(target, figure, "met" if reached else "missed")
