"""Times from an event, such as a deadline, to the end of the call that it interrupts."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

__all__ = ["Latencies"]


@dataclass
class Latencies:
    """Times in seconds of one kind of call, and the observed faults.

    Parameters
    ----------
    name : str
        Kind of call.
    limit : float
        Seconds that no time may reach.
    seconds : list of float
        The times.
    faults : list of str
        Calls that returned or raised another error, and calls after which the next one was wrong.
    """

    name: str
    limit: float
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def over(self) -> int:
        """Number of times that reached the limit."""
        return sum(seconds >= self.limit for seconds in self.seconds)

    @property
    def failed(self) -> bool:
        """True if a time was over the limit, or if there was a fault."""
        return bool(self.over or self.faults or not self.seconds)

    def __str__(self) -> str:
        """Return a line with the least, median and greatest time in milliseconds."""
        if not self.seconds:
            return f"{self.name:<44} no call ended as it should; {'; '.join(self.faults[:1])}"
        least, median, most = min(self.seconds), statistics.median(self.seconds), max(self.seconds)
        return (
            f"{self.name:<44} n {len(self.seconds):>4}  min {1e3 * least:7.1f}  "
            f"median {1e3 * median:7.1f}  max {1e3 * most:7.1f} ms  over {self.over}"
            f"  faults {len(self.faults)}" + (f": {self.faults[0]}" if self.faults else "")
        )
