"""Threads that flush subnormal numbers to zero, a mode that some libraries enable."""

import ctypes
import platform
import sys
import threading

import numpy as np
import pytest

import flashwasm as fw
from call_paths import runtime_calling
from flashwasm.host import subnormals
from helper_threads import runtime_with_helpers
from sample_arrays import normal

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the test knows only this platform's fenv_t",
)
# Offset in fenv_t of the vector unit's control register, and its bits that make subnormal results
# and operands zero.
CONTROL, FLUSH = 28, 1 << 15 | 1 << 6


def control(library):
    """Return the thread's floating-point environment, and the control register within it."""
    environment = ctypes.create_string_buffer(64)
    library.fegetenv(environment)
    return environment, ctypes.c_uint32.from_buffer(environment, CONTROL)


def flushed(function):
    """Return a function's result in a thread that flushes, and True if it still flushes after."""
    found = []

    def work():
        library = ctypes.CDLL("libm.so.6")
        environment, register = control(library)
        register.value |= FLUSH
        library.fesetenv(environment)
        assert subnormals.SMALLEST * 1.0 == 0
        found.append(function())
        _, register = control(library)
        found.append(register.value & FLUSH == FLUSH)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


TINY = normal(1400, 48) * np.float32(1e-39)
LONG = np.tile(np.linspace(-104, 0, 700, dtype=np.float32), (100, 1))
# All are large enough for several tasks.
OPERATIONS = {
    "vecadd": lambda rt: fw.vecadd(TINY, TINY, runtime=rt),
    "matmul": lambda rt: fw.matmul(TINY, np.ones((48, 300), np.float32), runtime=rt),
    "softmax": lambda rt: fw.softmax(LONG, runtime=rt),
    "attention": lambda rt: fw.attention(
        normal(300, 48), normal(300, 48), TINY[:1].repeat(300, 0), runtime=rt
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_flushing_changes_no_bit(one_thread, name, threads):
    """The calling thread flushes, and so do the helper threads, which inherit that from it."""
    expected = OPERATIONS[name](one_thread).tobytes()
    with fw.Runtime(1) if threads == 1 else runtime_with_helpers(threads) as runtime:
        found, still = flushed(lambda: OPERATIONS[name](runtime).tobytes())
        assert (runtime.workers.helper_tasks > 0) == (threads > 1)
    assert found == expected
    assert still


def test_the_results_above_are_subnormal():
    least = np.finfo(np.float32).tiny
    for operation in OPERATIONS.values():
        with fw.Runtime(1) as runtime:
            magnitudes = np.abs(operation(runtime))
        assert ((magnitudes > 0) & (magnitudes < least)).any()


def test_calls_by_the_public_interface_keep_subnormals_too():
    with runtime_calling(fast=False) as runtime:
        found, _ = flushed(lambda: fw.vecadd(TINY, TINY, runtime=runtime).tobytes())
    assert found == (TINY + TINY).tobytes()


def test_a_missing_c_library_gives_a_warning(monkeypatch):
    def absent(_):
        raise OSError("no such library")

    subnormals.environment.cache_clear()
    monkeypatch.setattr(subnormals.ctypes, "CDLL", absent)
    with pytest.warns(RuntimeWarning, match="flushes subnormal numbers to zero"):
        assert subnormals.in_plain_arithmetic(max, 1, 2) == 2
    subnormals.environment.cache_clear()
