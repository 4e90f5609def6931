"""Cases of decoding: one query against a cache that lies in linear memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flashwasm.bench.case import EPS, Case
from flashwasm.flash_attention.kv_cache import KVCache

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.bench.case import Inputs
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_STEPS = 127


def _exact(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers that every storage holds exactly: int8 steps of 1/64, 127 in each row."""
    steps = np.clip(np.rint(rng.standard_normal(shape) * 64), -_STEPS, _STEPS)
    steps[..., 0] = _STEPS
    return (steps / 64).astype(np.float32)


def decode_case(heads: int, keys: int, dim: int, dtype: str) -> Case:
    """Return one query a head against ``keys`` keys, stored as ``dtype``."""
    caches: WeakKeyDictionary[Runtime, tuple[Array, KVCache]] = WeakKeyDictionary()

    def make(rng: np.random.Generator) -> Inputs:
        shape = (heads, keys, dim)
        return rng.standard_normal((heads, 1, dim), np.float32), *(_exact(rng, shape) for _ in "kv")

    def run(q: Array, k: Array, v: Array, *, runtime: Runtime, out: Array | None = None) -> Array:
        if runtime not in caches:
            cache = KVCache(heads, dim, keys, dtype=dtype, runtime=runtime)
            cache.append(k, v)
            caches[runtime] = (k, cache)
        result = caches[runtime][1].attention(q, out=out)
        assert isinstance(result, np.ndarray)  # noqa: S101 - no log-sum-exp was asked for.
        return result

    def decode(q: Array, k: Array, v: Array) -> Array:
        scores = q @ k.swapaxes(-1, -2) * q.dtype.type(dim**-0.5)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        result: Array = weights @ v / weights.sum(axis=-1, keepdims=True)
        return result

    def read(q: Array, k: Array, v: Array) -> object:
        del q
        return np.dot(k.reshape(-1), k.reshape(-1)), np.dot(v.reshape(-1), v.reshape(-1))

    return Case(
        operation="kv_cache",
        size=f"{heads}x1x{dim} of {keys}, {dtype}",
        make=make,
        run=run,
        baseline=decode,
        oracle=decode,
        tolerance=64 * EPS,
        work=8.0 * heads * keys * dim,
        unit="GB/s",
        baseline_name="NumPy on float32: matmul, softmax, matmul",
        one_read=read if dtype == "float32" else None,
    )


DECODING = tuple(decode_case(12, 4096, 64, dtype) for dtype in ("float32", "float16", "int8"))
