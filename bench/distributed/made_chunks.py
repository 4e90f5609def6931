"""Chunks of keys and values that workers make, so that no process holds the whole arrays."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CHUNK", "DIM", "lazy_rows", "rows_of_chunk"]

Floats = npt.NDArray[np.float32]

DIM = 64
# Keys of a chunk, which is also a part of the work: 16 MiB of keys, and as much of values.
CHUNK = 1 << 16


def rows_of_chunk(seed: int, number: int, count: int) -> Floats:
    """Return the rows of a chunk; keys and values have different values of ``seed``."""
    return np.random.default_rng([seed, number]).standard_normal((count, DIM), np.float32)


def lazy_rows(seed: int, count: int, marker: Path | None = None, lost: int = -1) -> Any:
    """Return a dask array that is never in memory as a whole.

    Parameters
    ----------
    seed : int
        Seed of the rows.
    count : int
        Number of rows.
    marker : pathlib.Path, optional
        File that the worker creates before it kills itself.
    lost : int, default -1
        Number of the chunk whose first worker kills itself; -1 is none.
    """
    # The package is an extra.
    import dask.array as da  # noqa: PLC0415 - see above.

    full, rest = divmod(count, CHUNK)
    sizes = (*[CHUNK] * full, *[rest] * bool(rest))
    # dask has no types for this function.
    map_blocks: Any = da.map_blocks
    return map_blocks(
        _chunk, seed, str(marker), lost, chunks=(sizes, (DIM,)), dtype=np.float32, name=False
    )


def _chunk(seed: int, marker: str, lost: int, block_info: dict[Any, Any] | None = None) -> Floats:
    """Make a chunk, in a worker."""
    about = (block_info or {})[None]
    number, count = about["chunk-location"][0], about["chunk-shape"][0]
    if number == lost and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return rows_of_chunk(seed, number, count)
