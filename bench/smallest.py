"""Times that do not grow with the work: of the smallest call, the import and the first call."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from flashwasm import ops
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.runtime.runtime import Runtime

_PROCESSES = 7

# Each program runs in a new process, so that nothing is imported or compiled before. The programs
# import NumPy before the clock starts, because its time is not the package's.
_IMPORT = """
import time
import numpy
start = time.perf_counter()
import flashwasm
print(time.perf_counter() - start)
"""
_FIRST = """
import time
import numpy
import flashwasm
q = numpy.ones((2, 8, 4), numpy.float32)
start = time.perf_counter()
flashwasm.attention(q, q, q)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Overheads:
    """Seconds that do not grow with the work.

    Attributes
    ----------
    smallest_call : float
        Best time of `vecadd` of 16 floats on resident arrays, minus that of `numpy.add`.
    numpy_call : float
        Best time of `numpy.add` of as many floats.
    import_ : float
        Time of ``import flashwasm`` after NumPy was imported, the median of fresh processes.
    first_call : float
        Time of the first `attention` after that, the median of fresh processes. The compiled module
        is in the code cache. The time includes modules that the package imports on first use, such
        as the engine.
    """

    smallest_call: float
    numpy_call: float
    import_: float
    first_call: float


def measure_overheads() -> Overheads:
    """Measure the overheads."""
    with Runtime(1) as runtime:
        a, b = (runtime.asarray(np.ones(16, np.float32)) for _ in "ab")
        out = runtime.empty(16)
        x, y, z = (np.ones(16, np.float32) for _ in "xyz")
        times = interleaved(
            {
                "ours": timer(lambda: ops.vecadd(a, b, out=out, runtime=runtime)),
                "numpy": timer(lambda: np.add(x, y, out=z)),
            },
            Effort(seconds=1.0, least_measurement=1e-3),
        )
    ours, numpys = times["ours"].best, times["numpy"].best
    return Overheads(ours - numpys, numpys, _in_processes(_IMPORT), _in_processes(_FIRST))


def _in_processes(code: str) -> float:
    """Return the median of the seconds that a program prints in several processes.

    The first process only warms the caches.
    """
    # With this variable Python would not write the package's bytecode, and would compile the
    # package in every process. An installed package has its bytecode.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    runs = []
    for _ in range(_PROCESSES + 1):
        done = subprocess.run(  # noqa: S603 - it runs this interpreter on the programs above.
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        runs.append(float(done.stdout))
    return float(np.median(runs[1:]))
