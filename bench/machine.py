"""Rates that limit this machine: multiply-adds on registers, and bytes read from memory."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from flashwasm.host.peak import PeakLoop

PEAK_IS = "a WebAssembly loop of 128-bit fused multiply-adds on registers, one thread"
# These floats take 128 MiB, more than the caches hold.
_FLOATS = 1 << 25
_REPEATS = 15


def peak_rate() -> float:
    """Return the floating-point operations that one thread makes in a second, the best of many."""
    loop = PeakLoop()
    return max(loop.rate() for _ in range(4 * _REPEATS))


def read_rate() -> float:
    """Return the bytes that one thread reads from memory in a second, the best of many.

    NumPy's dot product of an array with itself reads them.
    """
    x = np.ones(_FLOATS, np.float32)

    def once() -> float:
        start = perf_counter()
        np.dot(x, x)
        return x.nbytes / (perf_counter() - start)

    return max(once() for _ in range(_REPEATS))
