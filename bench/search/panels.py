"""Panels that draw recall against queries per second, one for each set of vectors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.findings import Comparison

_BRUTE_FORCE = "NumPy"


def search_panels(found: Comparison) -> list[Callable[[Any, Comparison], None]]:
    """Return functions that draw the searches of a run, one for each set of vectors.

    Parameters
    ----------
    found : Comparison
        The run.
    """
    graphs = [r for r in found.searches if r.operation == "HNSWIndex"]
    return [partial(_draw, data=data) for data in dict.fromkeys(r.data for r in graphs)]


def _draw(axes: Any, found: Comparison, *, data: str) -> None:
    """Draw a line for each index, with a point for each ef. Up and to the right is better."""
    results = [r for r in found.searches if (r.operation, r.data) == ("HNSWIndex", data)]
    for name in dict.fromkeys(r.name for r in results):
        points = sorted((r.recall, r.rate) for r in results if r.name == name)
        if name == _BRUTE_FORCE:
            axes.axhline(max(rate for _, rate in points), color="black", linewidth=1, label=name)
            continue
        recalls, rates = zip(*points, strict=True)
        axes.plot(recalls, rates, marker="o", markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries a second")
    axes.set_title(f"{results[0].vectors} vectors: {data}")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
