"""The report of `python -m bench distributed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.distributed.attention_run import AttentionRun, run_attention
from bench.distributed.made_chunks import DIM
from bench.distributed.top_k_run import TopKRun, run_top_k
from flashwasm.benchmarks.report import machine, markdown_table, terminal_table

if TYPE_CHECKING:
    from flashwasm.benchmarks.report import Rows

__all__ = ["DistributedFindings", "run_distributed"]

# Largest error of attention that counts as exact.
_MOST_ERROR = 1e-6


@dataclass(frozen=True)
class DistributedFindings:
    """Results of all runs.

    Attributes
    ----------
    keys, rows : int
        Number of keys of attention, and of vectors of the search.
    attention : list of AttentionRun
        Runs of attention.
    top_k : list of TopKRun
        Runs of the search.
    """

    keys: int
    rows: int
    attention: list[AttentionRun]
    top_k: list[TopKRun]

    @property
    def failed(self) -> bool:
        """True if a result was wrong or differed from another."""
        wrong = [run for run in self.attention if not run.error <= _MOST_ERROR]
        differing = len({run.digest for run in self.attention}) > 1
        return bool(wrong) or differing or not all(run.same for run in self.top_k)

    def sections(self) -> dict[str, tuple[tuple[str, ...], Rows]]:
        """Return the headings and rows of each table by its title."""
        size = self.keys * DIM * 8 / 1e9
        attention: Rows = [
            (
                f"{run.workers}{', one killed' if run.killed else ''}",
                f"{run.seconds:.1f}",
                f"{run.error:.1e}",
                run.digest[:12],
            )
            for run in self.attention
        ]
        first = self.top_k[0].seconds
        search: Rows = [
            (
                str(run.workers),
                f"{run.seconds:.2f}",
                f"{first / run.seconds:.2f}",
                "yes" if run.same else "NO",
            )
            for run in self.top_k
        ]
        return {
            f"attention, K and V of {size:.2g} GB": (
                ("workers", "s", "error", "sha256"),
                attention,
            ),
            f"top-k of {self.rows:,} x 384": (("workers", "s", "times one", "same bytes"), search),
        }

    def tables(self) -> list[Any]:
        """Return the tables for a terminal."""
        return [terminal_table(name, *table) for name, table in self.sections().items()]

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        return "\n".join(markdown_table(name, *t) for name, t in self.sections().items())

    def as_dict(self) -> dict[str, Any]:
        """Return all results as a document for JSON."""
        return {"machine": machine(1, "as the process was started"), **asdict(self)}


def run_distributed(
    keys: int, rows: int, memory: str, note: Callable[[str], None]
) -> DistributedFindings:
    """Run attention on dask clusters, and search on processes of this machine."""
    return DistributedFindings(keys, rows, run_attention(keys, memory, note), run_top_k(rows, note))
