"""What a call costs besides the work: the smallest one, the import, and the first."""

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

# A process each, so that nothing is imported or compiled before. The first statement's time is
# Python's and NumPy's own.
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
        `vecadd` of 16 floats on resident arrays, best, less `numpy.add` of the same.
    numpy_call : float
        The latter.
    import_ : float
        ``import flashwasm`` once NumPy is imported: median of fresh processes.
    first_call : float
        The first `attention` after that, with the code cache warm, likewise. It imports what the
        package leaves to be imported when it is needed, the engine among it.
    """

    smallest_call: float
    numpy_call: float
    import_: float
    first_call: float


def measure_overheads() -> Overheads:
    """Measure them, the last two in processes of their own."""
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
    """Return the median of what a program prints, run after run; the first warms the caches."""
    # An installed package has its bytecode beside it, which this setting would keep from being.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    runs = []
    for _ in range(_PROCESSES + 1):
        done = subprocess.run(  # noqa: S603 - this interpreter, on the programs above.
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        runs.append(float(done.stdout))
    return float(np.median(runs[1:]))
