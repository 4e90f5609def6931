"""The report of `python -m bench reliability`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.reliability.soak import FAILURES, run_shift, soak
from bench.reliability.tally import Tally
from flashwasm.benchmarks.report import machine, markdown_table, terminal_table
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flashwasm.benchmarks.report import Rows

__all__ = ["ReliabilityFindings", "run_reliability"]

# Maximum seconds without output during the 20,000 calls.
_PATIENCE = 1200.0
_HEADINGS = ("what", "count")


@dataclass
class ReliabilityFindings:
    """Counts of a soak's calls and faults, and of the failures that it found.

    Attributes
    ----------
    minutes : float
        Duration of the soak.
    seed : int
        Seed of all random choices.
    flat_calls : int
        Number of calls that must not make the process grow.
    grown : dict of str to int
        Growth of each figure of the process over these calls.
    tally : Tally
        All counts, and the first failures.
    """

    minutes: float
    seed: int
    flat_calls: int
    grown: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def failed(self) -> bool:
        """True if a count that must be zero is not."""
        return any(self.tally.counts[name] for name in FAILURES)

    @property
    def title(self) -> str:
        """Title of the table."""
        return f"{self.minutes:g} minutes, seed {self.seed}"

    def rows(self) -> Rows:
        """Return the rows of the table: first counts of actions, then counts that must be zero."""
        counts = self.tally.counts
        done = sorted(name for name in counts if name not in FAILURES)
        held: Rows = [
            (f"growth over {self.flat_calls:,} calls: {name.replace('_', ' ')}", f"{grown:,}")
            for name, grown in self.grown.items()
        ]
        return [*((name, f"{counts[name]:,}") for name in (*done, *FAILURES)), *held]

    def as_dict(self) -> dict[str, Any]:
        """Return all counts for JSON."""
        about = {"minutes": self.minutes, "seed": self.seed, "machine": machine(2, "any")}
        return {**about, "flat_calls": self.flat_calls, "grown": self.grown, **self.tally.as_dict()}

    def markdown(self) -> str:
        """Return the table for a document."""
        return markdown_table(self.title, _HEADINGS, self.rows())

    def tables(self) -> list[Any]:
        """Return the table for a terminal."""
        return [terminal_table(self.title, _HEADINGS, self.rows())]


def run_reliability(
    minutes: float, seed: int, calls: int, log: Path | None, say: Callable[[str], None]
) -> ReliabilityFindings:
    """Make many calls that must not make the process grow, and then run the soak.

    Parameters
    ----------
    minutes : float
        Duration of the soak.
    seed : int
        Seed of all random choices.
    calls : int
        Number of calls that must not make the process grow.
    log : pathlib.Path or None
        File to which a line of JSON is appended for each process.
    say : callable
        Function that shows a line of progress.
    """
    found = ReliabilityFindings(minutes, seed, calls)

    def note(seconds: float) -> None:
        """Write the counts so far to the log, and show the most important ones."""
        if log is not None:
            line = {"time": time.time(), "seconds": seconds, **found.tally.as_dict()}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        counts = found.tally.counts
        failed = sum(counts[name] for name in FAILURES)
        calls_so_far = counted(counts["calls"], "calls")
        say(f"{seconds / 60:5.1f} min  {calls_so_far}  {counted(failed, 'failures')}")

    say(f"{calls:,} calls that must not make the process grow")
    flat = run_shift(["-m", "bench.reliability.flatness", str(calls), str(seed)], _PATIENCE)
    found.grown = flat.get("grown", {})
    found.tally.take(flat)
    note(0.0)
    soak(60 * minutes, seed, found.tally, note)
    return found
