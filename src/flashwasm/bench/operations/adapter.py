"""Cases of a low-rank adapter: a step of its training, and its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flashwasm.adapt import LoRAAdapter
from flashwasm.bench.case import EPS, Case
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.bench.case import Inputs

    Array = NDArray[Any]

_TEMPERATURE = 0.05
# So little that the loss stays what it was.
_RATE = 1e-12


class ContrastiveStep:
    """The contrastive step with Adam in NumPy, on any float type."""

    def __init__(self, a: Array, b: Array, rate: float = _RATE) -> None:
        self.rate = rate
        self.weights = [a.copy(), b.copy()]
        self.first = [np.zeros_like(w) for w in self.weights]
        self.second = [np.zeros_like(w) for w in self.weights]
        self.steps = 0

    def __call__(self, x: Array, candidates: Array) -> float:
        """Take a step, and return the loss before it."""
        kind = x.dtype.type
        a, b = self.weights
        h = a @ x
        y = x + b @ h
        lengths = np.sqrt(y @ y) * np.sqrt(np.einsum("ij,ij->i", candidates, candidates))
        cosines = candidates @ y / lengths
        z = cosines / kind(_TEMPERATURE)
        e = np.exp(z - z.max())
        loss = np.log(e.sum()) + z.max() - z[0]
        slopes = e / e.sum()
        slopes[0] -= 1
        slopes /= kind(_TEMPERATURE)
        dy = slopes / lengths @ candidates - slopes @ cosines / (y @ y) * y
        self.steps += 1
        size = kind(self.rate / (1 - 0.9**self.steps))
        correction = kind(1 / (1 - 0.999**self.steps))
        gradients = (np.outer(b.T @ dy, x), np.outer(dy, h))
        for w, m, v, g in zip(self.weights, self.first, self.second, gradients, strict=True):
            np.add(kind(0.9) * m, kind(0.1) * g, out=m)
            np.add(kind(0.999) * v, kind(0.001) * g * g, out=v)
            np.subtract(w, size * m / (np.sqrt(v * correction) + kind(1e-8)), out=w)
        return float(loss)


def update_case(dim: int, rank: int, negatives: int) -> Case:
    """Return one contrastive step; the result is its loss."""
    adapters: WeakKeyDictionary[Runtime, LoRAAdapter] = WeakKeyDictionary()
    steps: dict[str, ContrastiveStep] = {}

    def make(rng: np.random.Generator) -> Inputs:
        x = rng.standard_normal((2 + negatives, dim), np.float32)
        return x[0], x[1], x[2:]

    def run(x: Array, near: Array, far: Array, *, runtime: Runtime) -> tuple[Array, ...]:
        if runtime not in adapters:
            adapters[runtime] = LoRAAdapter(
                dim, dim, rank=rank, learning_rate=_RATE, runtime=runtime
            )
        loss = adapters[runtime].update_contrastive(x, near, far, temperature=_TEMPERATURE)
        return (np.array([loss]),)

    def step(x: Array, near: Array, far: Array) -> tuple[Array, ...]:
        if x.dtype.str not in steps:
            # B is zeros, so that A does not show in the loss.
            a = np.random.default_rng(0).standard_normal((rank, dim)).astype(x.dtype)
            steps[x.dtype.str] = ContrastiveStep(
                a / x.dtype.type(dim**0.5), np.zeros((dim, rank), x.dtype)
            )
        return (np.array([steps[x.dtype.str](x, np.concatenate([near[None], far]))]),)

    return Case(
        operation="LoRAAdapter",
        size=f"update, rank {rank}, {dim}, {negatives} negatives",
        make=make,
        run=run,
        baseline=step,
        oracle=step,
        # A cosine's error is a few eps, and the temperature divides it.
        tolerance=16 * EPS / _TEMPERATURE,
        # Weights, both moments, read and written.
        work=24.0 * 2 * rank * dim,
        unit="GB/s",
        baseline_name="NumPy: the same step",
    )


def _taught(dim: int, rank: int, runtime: Runtime) -> LoRAAdapter:
    """Return an adapter that is no longer the identity."""
    adapter = LoRAAdapter(dim, dim, rank=rank, learning_rate=0.01, runtime=runtime)
    for target in np.random.default_rng(0).standard_normal((3, dim), np.float32):
        adapter.update(target[::-1].copy(), target)
    return adapter


def apply_case(rows: int, dim: int, rank: int) -> Case:
    """Return the adaptation of many vectors."""
    adapters: WeakKeyDictionary[Runtime, LoRAAdapter] = WeakKeyDictionary()

    def make(rng: np.random.Generator) -> Inputs:
        with Runtime(threads=1) as runtime:
            adapter = _taught(dim, rank, runtime)
            return rng.standard_normal((rows, dim), np.float32), adapter.a, adapter.b

    def run(x: Array, a: Array, b: Array, *, runtime: Runtime, out: Array | None = None) -> Array:
        del a, b  # The adapter has its own, the same but for rounding.
        if runtime not in adapters:
            adapters[runtime] = _taught(dim, rank, runtime)
        return adapters[runtime].apply(x, out=out)

    def formula(x: Array, a: Array, b: Array) -> Array:
        result: Array = x + x @ a.T @ b.T
        return result

    return Case(
        operation="LoRAAdapter",
        size=f"apply, rank {rank}, {rows}x{dim}",
        make=make,
        run=run,
        baseline=formula,
        oracle=formula,
        tolerance=256 * EPS,
        work=8.0 * rows * dim,
        unit="GB/s",
        baseline_name="NumPy: two products and a sum",
    )


ADAPTER = (
    update_case(384, 2, 4),
    update_case(384, 8, 4),
    apply_case(4096, 384, 2),
    apply_case(4096, 384, 8),
)
