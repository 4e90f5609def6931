"""Rows of the tables of peers, cases and targets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.peers.peer import INSTALL
from bench.peers.runner import OURS
from bench.targets import BEYOND, PEAK, SHORT
from flashwasm.benchmarks.report import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.runner import Measurement, Row
    from bench.peers.table import Presence
    from bench.targets import Verdict
    from flashwasm.benchmarks.report import Rows

PEERS = ("peer", "version", "threads", "what is run")
CASES = ("case", "library", "best", "median", "rate", "of peak", "flashwasm is", "error", "note")
TARGETS = ("what", "figure", "target", "measured", "status")

# The only operation of peers that have a single one, and the peers without products of 8-bit codes.
_ONLY = {"@ruvector/attention": "attention", "OpenVINO": "matmul_i8"}
_WITHOUT_CODES = {"PyTorch", "tfjs"}


def peer_rows(presences: Sequence[Presence]) -> Rows:
    """Return a row for each peer: its version, or the command that installs it."""
    return [
        (
            p.name,
            p.version or f"absent: {INSTALL}",
            str(p.threads) if p.version else "",
            p.about if p.version else p.missing,
        )
        for p in presences
    ]


def case_rows(measurements: Sequence[Measurement], presences: Sequence[Presence]) -> Rows:
    """Return a row for every contender of every case; a row of an absent peer has no figures."""
    rows: Rows = []
    for measurement in measurements:
        rows += [_case_cells(measurement, row) for row in measurement.rows]
        rows += [
            (measurement.name, p.name, *[""] * 6, "absent")
            for p in presences
            if p.missing and _would_run(p, measurement)
        ]
    return rows


def _would_run(presence: Presence, measurement: Measurement) -> bool:
    """Return True if an absent peer would take part in a case if it were installed."""
    operation = measurement.operation
    only = _ONLY.get(presence.name)
    if operation == "encoder" or (only is not None and operation != only):
        return False
    return operation != "matmul_i8" or presence.name not in _WITHOUT_CODES


def _case_cells(measurement: Measurement, row: Row) -> tuple[str, ...]:
    """Return the cells of one contender on one case."""
    ours = measurement.row(OURS)
    if ours is None or not row.timed:
        return (measurement.name, row.name, *[""] * 6, row.note)
    share = measurement.share_of_peak(row)
    ratio = row.best / ours.best
    return (
        measurement.name,
        row.name,
        duration(row.best),
        duration(row.median),
        f"{row.rate:.1f} {measurement.unit}",
        "" if math.isnan(share) else f"{share:.0%}",
        "" if row.name.startswith(OURS) else f"{ratio:.2f}x",
        f"{row.error:.1e}",
        row.note,
    )


def target_rows(verdicts: Sequence[Verdict]) -> Rows:
    """Return a row for each target: its bound, the measured figure and the status."""
    rows: Rows = []
    for verdict in verdicts:
        target = verdict.target
        whose = "" if target.contender == OURS else f", {target.contender}"
        sign = "≤" if target.at_most else "≥"
        rows.append(
            (
                f"{target.subject}{whose}",
                target.quantity if _names_itself(target.quantity) else f"over {target.quantity}",
                f"{sign} {_amount(target.bound, target.quantity)}",
                "" if math.isnan(verdict.figure) else _amount(verdict.figure, target.quantity),
                f"{verdict.status}: {verdict.why}" if verdict.why else verdict.status,
            )
        )
    return rows


def _names_itself(quantity: str) -> bool:
    """Return True if a quantity is not a peer's name, so that it needs no "over" before it."""
    words = (" over", "recall@")
    units = {"ms", "µs"}
    return (
        quantity in {PEAK, SHORT, BEYOND}
        or any(word in quantity for word in words)
        or quantity[:2] in units
    )


def _amount(value: float, quantity: str) -> str:
    """Return a figure as text, in the unit of its quantity."""
    if quantity in {PEAK, SHORT}:
        return f"{value:.1%}"
    if quantity.startswith("recall"):
        return f"{value:.4f}"
    if quantity == BEYOND or quantity[:2] in {"ms", "µs"}:
        return f"{value:.3g}"
    return f"{value:.2f}x"
