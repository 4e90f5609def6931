"""A test that many calls of the backend "gpu" do not make the process grow.

`python -m bench.reliability.gpu_calls 5000` makes 5,000 calls.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.backends.backend import AttentionWork, Limits
from flashwasm.backends.registry import backend_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Metric

    Array = NDArray[Any]

__all__ = ["GpuFlatness", "measure_gpu_flatness"]

# Maximum growth of each figure, over any number of calls. The system allocates memory in large
# pieces, and a driver caches some of it.
_MOST_GROWTH = {"objects": 300, "descriptors": 0, "resident": 1 << 25}
_LIMITS = Limits(threads=1, check=lambda: None)


class _Holdings(NamedTuple):
    """Python objects, open files and bytes of this process; 0 if the system does not state them."""

    objects: int
    descriptors: int
    resident: int


class GpuFlatness(NamedTuple):
    """Growth of the process over some calls, and the number of calls whose bits differed.

    Attributes
    ----------
    calls, wrong : int
        Number of calls, and of calls that returned other bits than the first call of their kind.
    grown : dict of str to int
        Objects, descriptors and resident bytes after the calls, minus those before.
    """

    calls: int
    wrong: int
    grown: dict[str, int]

    def failures(self) -> list[str]:
        """Return a line for each figure that has grown too much, and for wrong results."""
        found = [
            f"{name} grew by {growth} in {self.calls} calls"
            for name, growth in self.grown.items()
            if growth > _MOST_GROWTH[name]
        ]
        return [*found, f"{self.wrong} wrong results"] if self.wrong else found


def measure_gpu_flatness(calls: int, seed: int = 0) -> GpuFlatness:
    """Make mixed calls of several sizes, and compare the process before and after.

    Parameters
    ----------
    calls : int
        Number of calls between the two moments. A quarter as many are made before.
    seed : int, default 0
        Seed of the choice of calls.
    """
    random = Random(seed)
    kinds = _kinds()
    expected = [call() for call in kinds]
    for _ in range(calls // 4):
        random.choice(kinds)()
    before, wrong = _holdings(), 0
    for _ in range(calls):
        number = random.randrange(len(kinds))
        wrong += kinds[number]() != expected[number]
    after = _holdings()
    growth = (b - a for a, b in zip(before, after, strict=True))
    return GpuFlatness(calls, wrong, dict(zip(_Holdings._fields, growth, strict=True)))


def _kinds() -> list[Callable[[], bytes]]:
    """Return functions that make a call and return the bytes of its result."""
    gpu = backend_named("gpu")
    draw = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        """Return normally distributed numbers."""
        return draw.standard_normal(shape, np.float32)

    def attention(queries: int, keys: int, dim: int) -> Callable[[], bytes]:
        """Return a call of attention with a mask."""
        work = AttentionWork(
            q=normal(1, 2, queries, dim),
            k=normal(1, 1, keys, dim),
            v=normal(1, 1, keys, dim),
            mask=normal(1, 1, queries, keys) > 0,
            diagonals=np.array([keys - queries]),
            lengths=np.array([keys]),
            before=1 << 30,
            after=0,
            scale=dim**-0.5,
            softcap=0.0,
            alibi=None,
            sinks=None,
            dropout=0.0,
            seed=0,
            with_lse=True,
        )
        return lambda: b"".join(x.tobytes() for x in gpu.attention(work, _LIMITS) if x is not None)

    def search(rows: int, metric: Metric) -> Callable[[], bytes]:
        """Return a search for the five best rows."""
        queries, corpus = normal(3, 16), normal(rows, 16)
        return lambda: b"".join(x.tobytes() for x in gpu.top_k(queries, corpus, 5, metric, _LIMITS))

    a, b, x = normal(70, 20), normal(20, 90), normal(40, 65)
    return [
        attention(5, 7, 8),
        attention(50, 70, 33),
        attention(100, 40, 64),
        lambda: gpu.matmul(a, b, None, _LIMITS).tobytes(),
        lambda: gpu.matmul(a[:3], b, b[0], _LIMITS).tobytes(),
        lambda: gpu.softmax(x, _LIMITS).tobytes(),
        lambda: gpu.layer_norm(x, x[0], x[1], 1e-5, _LIMITS).tobytes(),
        search(1500, "cosine"),
        search(9, "l2"),
    ]


def _holdings() -> _Holdings:
    """Return the current figures of the process."""
    gc.collect()
    listing, sizes = Path("/proc/self/fd"), Path("/proc/self/statm")
    if not listing.is_dir():
        return _Holdings(len(gc.get_objects()), 0, 0)
    pages = int(sizes.read_text().split()[1])
    return _Holdings(
        len(gc.get_objects()), len(list(listing.iterdir())), pages * os.sysconf("SC_PAGE_SIZE")
    )


if __name__ == "__main__":
    found = measure_gpu_flatness(int(sys.argv[1]))
    counts = {"calls": found.calls, "wrong": found.wrong, **found.grown}
    sys.stdout.write(json.dumps({**counts, "failures": found.failures()}) + "\n")
    sys.exit(bool(found.failures()))
