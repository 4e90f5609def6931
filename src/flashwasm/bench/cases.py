"""The cases: each operation at the sizes that matter, one row a case at the end of this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm import flash_attention, ops
from flashwasm.bench.backward import attention_backward_case
from flashwasm.bench.case import Case
from flashwasm.bench.decoding import DECODING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Inputs = tuple[Array, ...]

_EPS = float(np.finfo(np.float32).eps)


def _normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Inputs]:
    """Return a maker of standard normal arrays."""
    return lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes)


def _softmax(x: Array) -> Array:
    e: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    total: Array = e.sum(axis=-1, keepdims=True)
    return e / total


def _layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    result: Array = centred / np.sqrt(variance + x.dtype.type(1e-5)) * weight + bias
    return result


def _attention(q: Array, k: Array, v: Array) -> Array:
    scale = q.dtype.type(q.shape[-1] ** -0.5)
    result: Array = _softmax(q @ k.swapaxes(-1, -2) * scale) @ v
    return result


def _causal_attention(q: Array, k: Array, v: Array) -> Array:
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5)
    later = np.triu(np.ones(scores.shape[-2:], np.bool_), 1)
    scores[..., later] = -np.inf
    result: Array = _softmax(scores) @ v
    return result


def _matmul_case(m: int, k: int, n: int) -> Case:
    return Case(
        operation="matmul",
        size=f"{m}x{k} @ {k}x{n}",
        make=_normal((m, k), (k, n)),
        run=ops.matmul,
        baseline=np.matmul,
        oracle=np.matmul,
        # A sum of k products of standard normals, each step rounded: about k eps times their size,
        # in the mean far less.
        tolerance=k * _EPS * 4,
        work=2.0 * m * k * n,
        unit="GFLOP/s",
        baseline_name="numpy.matmul (its BLAS)",
    )


def _vecadd_case(n: int) -> Case:
    return Case(
        operation="vecadd",
        size=f"{n}",
        make=_normal((n,), (n,)),
        run=ops.vecadd,
        baseline=np.add,
        oracle=np.add,
        tolerance=8 * _EPS,
        work=12.0 * n,
        unit="GB/s",
        baseline_name="numpy.add",
    )


def _softmax_case(rows: int, columns: int) -> Case:
    return Case(
        operation="softmax",
        size=f"{rows}x{columns}",
        make=_normal((rows, columns)),
        run=ops.softmax,
        baseline=_softmax,
        oracle=_softmax,
        tolerance=16 * _EPS,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: max, exp, sum, divide",
    )


def _layer_norm_case(rows: int, columns: int) -> Case:
    return Case(
        operation="layer_norm",
        size=f"{rows}x{columns}",
        make=_normal((rows, columns), (columns,), (columns,)),
        run=ops.layer_norm,
        baseline=_layer_norm,
        oracle=_layer_norm,
        tolerance=128 * _EPS,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: mean, variance, scale",
    )


def _embedding_case(n: int, rows: int, columns: int) -> Case:
    def make(rng: np.random.Generator) -> Inputs:
        ids = rng.integers(0, rows, n, np.int32)
        return ids, rng.standard_normal((rows, columns), np.float32)

    def take(ids: Array, table: Array) -> Array:
        return np.take(table, ids.astype(np.int64), axis=0)

    return Case(
        operation="embedding",
        size=f"{n} of {rows}x{columns}",
        make=make,
        run=ops.embedding,
        baseline=take,
        oracle=take,
        tolerance=0.0,
        work=8.0 * n * columns,
        unit="GB/s",
        baseline_name="numpy.take",
    )


def _attention_case(heads: int, length: int, dim: int, *, causal: bool = False) -> Case:
    def run(q: Array, k: Array, v: Array, **options: Any) -> Array:
        result = flash_attention.attention(q, k, v, causal=causal, **options)
        assert isinstance(result, np.ndarray)  # noqa: S101 - no log-sum-exp was asked for.
        return result

    reference = _causal_attention if causal else _attention
    return Case(
        operation="attention",
        size=f"{heads}x{length}x{dim}" + (" causal" if causal else ""),
        make=_normal(*[(heads, length, dim)] * 3),
        run=run,
        baseline=reference,
        oracle=reference,
        tolerance=64 * _EPS,
        work=4.0 * heads * length * length * dim / (2 if causal else 1),
        unit="GFLOP/s",
        baseline_name="NumPy: matmul, softmax, matmul over stored scores",
    )


def _top_k_case(queries: int, rows: int, dim: int, k: int) -> Case:
    def run(q: Array, corpus: Array, *, out: Array | None = None, **options: Any) -> Array:
        del out  # It returns two arrays, in NumPy's memory.
        return ops.cosine_top_k(q, corpus, k, **options)[0]

    def baseline(q: Array, corpus: Array) -> Array:
        unit_q = q / np.linalg.norm(q, axis=1, keepdims=True)
        unit_corpus = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
        scores = unit_q @ unit_corpus.T
        best: Array = -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)
        return -np.sort(-best, axis=1)

    return Case(
        operation="cosine_top_k",
        size=f"{k} for {queries} of {rows}x{dim}",
        make=_normal((queries, dim), (rows, dim)),
        run=run,
        baseline=baseline,
        oracle=baseline,
        tolerance=16 * _EPS,
        work=2.0 * queries * rows * dim,
        unit="GFLOP/s",
        baseline_name="NumPy: norms, matmul, partition",
    )


def _rms_norm_case(rows: int, columns: int) -> Case:
    def rms_norm(x: Array, weight: Array) -> Array:
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        result: Array = x / np.sqrt(mean_square + x.dtype.type(1e-5)) * weight
        return result

    return Case(
        operation="rms_norm",
        size=f"{rows}x{columns}",
        make=_normal((rows, columns), (columns,)),
        run=ops.rms_norm,
        baseline=rms_norm,
        oracle=rms_norm,
        tolerance=128 * _EPS,
        work=8.0 * rows * columns,
        unit="GB/s",
        baseline_name="NumPy: mean square, scale",
    )


def _gelu_case(n: int) -> Case:
    def run(x: Array, **options: Any) -> Array:
        return ops.gelu(x, "tanh", **options)

    def gelu(x: Array) -> Array:
        kind = x.dtype.type
        inner = kind(np.sqrt(2 / np.pi)) * (x + kind(0.044715) * x * x * x)
        result: Array = kind(0.5) * x * (kind(1) + np.tanh(inner))
        return result

    return Case(
        operation="gelu",
        size=f"{n} tanh",
        make=_normal((n,)),
        run=run,
        baseline=gelu,
        oracle=gelu,
        tolerance=16 * _EPS,
        work=8.0 * n,
        unit="GB/s",
        baseline_name="NumPy: the tanh form, as it has no erf",
    )


def _rotary_case(heads: int, length: int, dim: int) -> Case:
    def make(rng: np.random.Generator) -> Inputs:
        angles = rng.uniform(0, 2 * np.pi, (1, length, dim // 2)).astype(np.float32)
        return (
            rng.standard_normal((1, heads, length, dim), np.float32),
            np.cos(angles),
            np.sin(angles),
        )

    def turn(x: Array, cos: Array, sin: Array) -> Array:
        a, b = np.split(x, 2, axis=-1)
        c, s = cos[:, None], sin[:, None]
        return np.concatenate([a * c - b * s, a * s + b * c], axis=-1)

    return Case(
        operation="rotary_embedding",
        size=f"{heads}x{length}x{dim}",
        make=make,
        run=ops.rotary_embedding,
        baseline=turn,
        oracle=turn,
        tolerance=16 * _EPS,
        work=8.0 * heads * length * dim,
        unit="GB/s",
        baseline_name="NumPy: multiply, add, concatenate",
    )


def _mean_pool_case(segments: int, length: int, columns: int) -> Case:
    def make(rng: np.random.Generator) -> Inputs:
        offsets = np.arange(0, segments * length + 1, length, dtype=np.int32)
        return rng.standard_normal((segments * length, columns), np.float32), offsets

    def pool(x: Array, offsets: Array) -> Array:
        totals = np.add.reduceat(x, offsets[:-1].astype(np.int64), axis=0)
        result: Array = totals / np.diff(offsets)[:, None].astype(x.dtype)
        return result

    return Case(
        operation="mean_pool",
        size=f"{segments} of {length}x{columns}",
        make=make,
        run=ops.mean_pool,
        baseline=pool,
        oracle=pool,
        tolerance=16 * _EPS,
        work=4.0 * segments * length * columns,
        unit="GB/s",
        baseline_name="numpy.add.reduceat",
    )


CASES = (
    _matmul_case(512, 512, 512),
    _matmul_case(512, 384, 1536),
    _vecadd_case(4096),
    _vecadd_case(1 << 20),
    _softmax_case(512, 512),
    _embedding_case(512, 30522, 384),
    _layer_norm_case(512, 384),
    _attention_case(12, 512, 64),
    _attention_case(12, 512, 64, causal=True),
    attention_backward_case(12, 512, 64),
    attention_backward_case(12, 512, 64, causal=True),
    _rms_norm_case(512, 384),
    _gelu_case(512 * 1536),
    _rotary_case(12, 512, 64),
    _mean_pool_case(32, 64, 384),
    _top_k_case(64, 10_000, 384, 10),
    *DECODING,
)
