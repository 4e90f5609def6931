"""Counts of the events and failures of a soak."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Tally"]

# Maximum number of stored failure messages. The first ones are enough to find the fault.
_MOST_MESSAGES = 20


class Tally:
    """Counts by name, and the first failures. Several threads may add to it.

    Attributes
    ----------
    counts : collections.Counter of str
        Counts by name.
    failures : list of str
        Messages of failures, in the order in which they happened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def add(self, name: str, times: int = 1) -> None:
        """Add to a count."""
        with self._lock:
            self.counts[name] += times

    def fail(self, name: str, message: str, times: int = 1) -> None:
        """Count a failure, and store its message."""
        with self._lock:
            self.counts[name] += times
            if len(self.failures) < _MOST_MESSAGES:
                self.failures.append(f"{name}: {message}")

    def take(self, other: Mapping[str, Any]) -> None:
        """Add the counts that `as_dict` returned in another process."""
        with self._lock:
            self.counts.update(other["counts"])
            self.failures += other["failures"][: _MOST_MESSAGES - len(self.failures)]

    def report(self, *, done: bool) -> None:
        """Print the counts as a line of JSON, which the parent process reads."""
        sys.stdout.write(json.dumps({"done": done, **self.as_dict()}) + "\n")
        sys.stdout.flush()

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the failures, for JSON."""
        with self._lock:
            return {"counts": dict(self.counts), "failures": list(self.failures)}
