"""What the machine can do: multiply-adds on registers, and bytes from memory."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from flashwasm.host.peak import PeakLoop

PEAK_IS = "a WebAssembly loop of 128-bit fused multiply-adds on registers, one thread"
_FLOATS = 1 << 25  # 128 MiB, more than caches hold.
_REPEATS = 15


def peak_rate() -> float:
    """Return floating-point operations a second of one thread, best of many."""
    loop = PeakLoop()
    return max(loop.rate() for _ in range(4 * _REPEATS))


def read_rate() -> float:
    """Return bytes a second that one thread reads from memory, by NumPy's dot; best of many."""
    x = np.ones(_FLOATS, np.float32)

    def once() -> float:
        start = perf_counter()
        np.dot(x, x)
        return x.nbytes / (perf_counter() - start)

    return max(once() for _ in range(_REPEATS))
