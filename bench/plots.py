"""A picture of a run, with a panel for each kind of measurement."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.runner import COPIES, OURS
from bench.search.panels import search_panels
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.findings import Comparison
    from flashwasm.benchmarks.lengths import Length

FORMATS = (".png", ".svg", ".pdf")
_MASKS = ((False, "full", "-"), (True, "causal", "--"))


def figures_module() -> Any:
    """Import and return matplotlib's module of figures.

    Raises
    ------
    CapabilityError
        If matplotlib is not installed.
    """
    try:
        return import_module("matplotlib.figure")
    except ImportError as error:
        raise CapabilityError(
            f"--plot needs matplotlib, which cannot be imported ({error}); "
            "`make bench-peers` installs it"
        ) from error


def picture(found: Comparison, name: str) -> bytes:
    """Draw a run.

    Parameters
    ----------
    found : Comparison
        A run that contains lengths, peers or searches, or several of these.
    name : str
        Name of the file, whose extension sets the format.

    Returns
    -------
    bytes
        Content of the file.

    Raises
    ------
    CapabilityError
        If matplotlib is not installed.
    """
    panels: list[Callable[[Any, Comparison], None]] = []
    if found.lengths:
        panels += [_speed, _memory]
    if found.measurements:
        panels += [_roofline, _peers]
    panels += search_panels(found)
    rows = -(-len(panels) // 2)
    figure = figures_module().Figure(figsize=(14, 5.5 * rows), layout="constrained")
    places = np.ravel(figure.subplots(rows, 2))
    for axes, draw in zip(places, panels, strict=False):
        draw(axes, found)
    for axes in places[len(panels) :]:
        axes.remove()
    content = BytesIO()
    # Store text in an SVG as text, not as outlines.
    with import_module("matplotlib").rc_context({"svg.fonttype": "none"}):
        figure.savefig(content, format=Path(name).suffix[1:], dpi=120)
    return content.getvalue()


def _lines(
    axes: Any, found: Comparison, series: list[tuple[str, str, Callable[[Length], float]]]
) -> None:
    """Draw a line for each series and each mask against the length, whose axis is logarithmic."""
    for label, colour, value in series:
        for causal, mask, style in _MASKS:
            chosen = [length for length in found.lengths if length.causal is causal]
            axes.plot(
                [length.length for length in chosen],
                [value(length) for length in chosen],
                style,
                color=colour,
                marker="o",
                markersize=4,
                label=f"{label}, {mask}",
            )
    axes.set_xscale("log", base=2)
    ticks = sorted({length.length for length in found.lengths})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("queries, and keys")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _speed(axes: Any, found: Comparison) -> None:
    """Draw attention's speed against its length."""

    def stored(length: Length) -> float:
        return length.rate * length.flash / length.materialized

    _lines(axes, found, [("flash", "C0", lambda x: x.rate), ("stored scores", "C1", stored)])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("GFLOP/s (causal: half as many operations)")
    axes.set_title("Attention, one thread: speed against length")


def _memory(axes: Any, found: Comparison) -> None:
    """Draw attention's memory against its length."""
    _lines(
        axes,
        found,
        [
            ("flash", "C0", lambda x: x.flash_bytes / 1e6),
            ("stored scores", "C1", lambda x: x.materialized_bytes / 1e6),
        ],
    )
    axes.set_yscale("log")
    axes.set_ylabel("MB beyond operands and result")
    axes.set_title("Attention, one thread: linear memory against length")


def _roofline(axes: Any, found: Comparison) -> None:
    """Draw the speed of each case against its arithmetic intensity, below peak and memory rate."""
    peak = found.facts["peak_flops"] / 1e9
    read = found.facts["read_bytes_per_second"] / 1e9
    points = [m for m in found.measurements if m.flops == m.flops]
    for number, measurement in enumerate(points):
        ours = measurement.row(OURS)
        if ours is not None:
            axes.plot(
                measurement.flops / measurement.traffic,
                measurement.flops / ours.best / 1e9,
                "ov^sDP*Xdh<>p"[number % 13],
                color=f"C{number % 10}",
                label=measurement.name,
            )
    knee = peak / read
    axes.plot([0.05, knee], [read * 0.05, peak], "k:", label=f"memory, {read:.0f} GB/s")
    axes.plot([knee, 4000], [peak, peak], "k-", label=f"peak, {peak:.0f} GFLOP/s")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations per byte of inputs and output")
    axes.set_ylabel("GFLOP/s")
    axes.set_title("Roofline, 128-bit vectors (operands may lie in caches)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")


def _peers(axes: Any, found: Comparison) -> None:
    """Draw the speed of each library over the package's, in a group of bars for each case."""
    names = list(dict.fromkeys(r.name for m in found.measurements for r in m.rows if r.timed))
    names = [name for name in names if name not in {OURS, COPIES}]
    height = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        places, speeds = [], []
        for place, measurement in enumerate(found.measurements):
            ours, row = measurement.row(OURS), measurement.row(name)
            if ours is not None and row is not None and row.timed:
                places.append(place + (number - (len(names) - 1) / 2) * height)
                speeds.append(ours.best / row.best)
        axes.barh(places, speeds, height, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(found.measurements)), [m.name for m in found.measurements])
    axes.invert_yaxis()
    axes.set_xlabel("speed; flashwasm is 1")
    axes.set_title("Other libraries on the same data")
    axes.legend(fontsize="small")
