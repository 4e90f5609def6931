"""Cases of decoding: one query for each head against a cache of keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flashwasm.benchmarks.case import Case
from flashwasm.flash_attention.kv_cache import KVCache
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.benchmarks.case import Inputs
    from flashwasm.flash_attention.kv_cache import CacheDType
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_STEPS = 127


def _exact(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers that are exact in float32, float16 and int8.

    They are multiples of 1/64, and the greatest of each row is 127/64, which makes 1/64 the row's
    scale in int8.
    """
    steps = np.clip(np.rint(rng.standard_normal(shape) * 64), -_STEPS, _STEPS)
    steps[..., 0] = _STEPS
    return (steps / 64).astype(np.float32)


def decode_case(heads: int, keys: int, dim: int, dtype: CacheDType) -> Case:
    """Return a case of one query per head against ``keys`` keys, stored as ``dtype``."""
    caches: WeakKeyDictionary[Runtime, KVCache] = WeakKeyDictionary()

    def make(rng: np.random.Generator) -> Inputs:
        shape = (heads, keys, dim)
        return rng.standard_normal((heads, 1, dim), np.float32), *(_exact(rng, shape) for _ in "kv")

    def run(q: Array, k: Array, v: Array, *, runtime: Runtime, out: Array | None = None) -> Array:
        if runtime not in caches:
            caches[runtime] = KVCache(heads, dim, keys, dtype=dtype, runtime=runtime)
            caches[runtime].append(k, v)
        return caches[runtime].attention(q, out=out)

    def baseline(q: Array, k: Array, v: Array) -> Array:
        scores = q @ k.swapaxes(-1, -2) * q.dtype.type(dim**-0.5)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        result: Array = weights @ v / weights.sum(axis=-1, keepdims=True)
        return result

    def bound(q: Array, k: Array, v: Array) -> Array:
        limits = bounds.attention_int8 if dtype == "int8" else bounds.attention
        return limits(q, k, v)[0]

    def read(q: Array, k: Array, v: Array) -> object:
        del q
        return np.dot(k.reshape(-1), k.reshape(-1)), np.dot(v.reshape(-1), v.reshape(-1))

    return Case(
        operation="kv_cache",
        size=f"{heads}x1x{dim} of {keys}, {dtype}",
        make=make,
        run=run,
        baseline=baseline,
        oracle=lambda q, k, v: reference.attention(q, k, v)[0],
        bound=bound,
        work=8.0 * heads * keys * dim,
        unit="GB/s",
        baseline_name="NumPy on float32: matmul, softmax, matmul",
        one_read=read if dtype == "float32" else None,
    )


DECODING = tuple(decode_case(12, 4096, 64, dtype) for dtype in ("float32", "float16", "int8"))
