"""The soak: shifts of calls and disturbances, each in its own process, which may crash."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.reliability.tally import Tally

__all__ = ["FAILURES", "run_shift", "soak"]

# Names of counts that must be zero.
FAILURES = (
    "wrong results",
    "bad inputs accepted",
    "unexpected errors",
    "bytes leaked",
    "growth",
    "crashes",
    "hangs",
)
# Modules of a round of shifts, and the maximum duration of a shift in seconds. Starting processes
# often also tests their start and their end.
_ROUND = ("shift", "shift", "shift", "machine_shift")
_LONGEST = 40.0
# Seconds without a line of output after which a process counts as hanging.
_PATIENCE = 180.0
_ROOT = Path(__file__).parents[2]


def soak(
    seconds: float,
    seed: int,
    tally: Tally,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Run shifts until the time is over.

    Parameters
    ----------
    seconds : float
        Duration of the soak.
    seed : int
        Seed of the first shift; each later shift has the next number.
    tally : Tally
        Counts to add to.
    progress : callable, optional
        Function that is called after each shift with the seconds that have passed.
    """
    start = time.monotonic()
    for number, module in enumerate(itertools.cycle(_ROUND)):
        left = start + seconds - time.monotonic()
        if left <= 0:
            return
        shift = min(_LONGEST, max(left, seconds / (2 * len(_ROUND))), seconds / len(_ROUND))
        command = ["-m", f"bench.reliability.{module}", str(seed + number), f"{shift:.1f}"]
        tally.take(run_shift(command, _PATIENCE))
        tally.add("processes")
        progress(time.monotonic() - start)


def run_shift(arguments: list[str], patience: float) -> dict[str, Any]:
    """Run a shift in a new process, and return the last counts that it printed.

    Parameters
    ----------
    arguments : list of str
        Arguments of the Python interpreter.
    patience : float
        Seconds without a line of output after which the process is killed as hanging.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []
    last: dict[str, Any] = {"done": False, "counts": {}, "failures": []}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=pipe, stderr=pipe, text=True, cwd=_ROOT
    ) as process:
        readers = [
            threading.Thread(target=_read, args=(process.stdout, lines), daemon=True),
            threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            while (line := lines.get(timeout=patience)) is not None:
                last = json.loads(line)
        except queue.Empty:
            process.kill()
            last["counts"]["hangs"] = 1
            last["failures"].append(f"hangs: {arguments} is silent for {patience} s")
        for reader in readers:
            reader.join()
    if "hangs" not in last["counts"] and (process.returncode or not last["done"]):
        last["counts"]["crashes"] = 1
        end = f"{arguments} ended with status {process.returncode}: {''.join(errors[-30:])}"
        last["failures"].append(f"crashes: {end}")
    return last


def _read(stream: Any, lines: queue.Queue[str | None]) -> None:
    """Put the lines of a stream into a queue, and None at its end."""
    for line in stream:
        lines.put(line)
    lines.put(None)
