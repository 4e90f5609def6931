"""Faults inside linear memory: WebAssembly does not detect them, a sanitizer ends the process.

test_native_kernels.py runs each of these in a separate process. No other run collects them.
"""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.kernel_table import VECADD


@pytest.fixture
def call():
    """Return a function that adds arrays of sixteen floats, and the addresses of three."""
    with fw.Runtime(threads=1) as runtime:
        arrays = [runtime.asarray(np.ones(16, np.float32)) for _ in range(3)]
        addresses = [runtime.arena.offset_of(array) for array in arrays]
        yield lambda *arguments: runtime.kernel_calls[VECADD](arguments), addresses, arrays, runtime


def test_overrun(call):
    add, addresses, _, _ = call
    add(*addresses, 17)


def test_freed(call):
    add, addresses, arrays, runtime = call
    arrays.pop(1)
    runtime.arena.settle()
    add(*addresses, 16)


def test_misaligned(call):
    add, (x, y, out), _, _ = call
    add(x + 1, y, out, 3)
