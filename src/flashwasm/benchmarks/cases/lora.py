"""Cases of a low-rank adapter: one step of its training, and its output."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from flashwasm.adapt import LoRAAdapter
from flashwasm.benchmarks.case import Case
from flashwasm.oracles import bounds, reference
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.benchmarks.case import Inputs

    Array = NDArray[Any]

_TEMPERATURE = 0.05
# The learning rate is so small that the loss stays the same after thousands of steps.
_RATE = 1e-12


class ContrastiveStep:
    """A contrastive training step with the optimizer Adam in NumPy, in any float type.

    Parameters
    ----------
    a, b : numpy.ndarray of float, shapes (rank, dim) and (dim, rank)
        Initial weights, which are copied.
    rate : float
        Learning rate.
    """

    def __init__(self, a: Array, b: Array, rate: float = _RATE) -> None:
        self.rate = rate
        self.weights = [a.copy(), b.copy()]
        self.first = [np.zeros_like(w) for w in self.weights]
        self.second = [np.zeros_like(w) for w in self.weights]
        self.steps = 0

    def __call__(self, x: Array, candidates: Array) -> float:
        """Take a step and return the loss before it."""
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
    """Return a case of one contrastive step, whose result is the loss.

    The matrix B starts with zeros. The adapted vector is then the vector itself, whatever A is, so
    the loss is known without the adapter's random A.
    """
    adapters: WeakKeyDictionary[Runtime, LoRAAdapter] = WeakKeyDictionary()
    weights = np.zeros((rank, dim), np.float32), np.zeros((dim, rank), np.float32)
    numpys = ContrastiveStep(*weights)

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

    def baseline(x: Array, near: Array, far: Array) -> tuple[Array, ...]:
        return (np.array([numpys(x, np.concatenate([near[None], far]))]),)

    def logits(x: Array, near: Array, far: Array) -> Array:
        return reference.lora_logits(
            *weights,
            1.0,
            x,
            np.concatenate([near[None], far]),
            temperature=_TEMPERATURE,
            metric="cosine",
            adapted=False,
        )

    def oracle(x: Array, near: Array, far: Array) -> tuple[Array, ...]:
        probabilities = reference.lora_log_probabilities("contrastive", logits(x, near, far))
        return (-probabilities[:1],)

    def bound(x: Array, near: Array, far: Array) -> tuple[Array, ...]:
        # A cosine is a dot product over two norms, and y is a sum over the ranks. A loss changes by
        # at most twice as much as the logits do. It is the logarithm of a sum of exponentials.
        logit = bounds.gamma(2 * dim + rank + 8) / _TEMPERATURE
        largest = np.abs(logits(x, near, far)).max()
        return (np.array([2 * logit + bounds.gamma(negatives + 16) * (1 + 2 * largest)]),)

    return Case(
        operation="LoRAAdapter",
        size=f"update, rank {rank}, {dim}, {negatives} negatives",
        make=make,
        run=run,
        baseline=baseline,
        oracle=oracle,
        bound=bound,
        # Both weights and both moments of each are read and written.
        work=24.0 * 2 * rank * dim,
        unit="GB/s",
        baseline_name="NumPy: the same step",
    )


def _trained(dim: int, rank: int, runtime: Runtime) -> LoRAAdapter:
    """Return an adapter in a runtime, with weights after a few training steps.

    The default build always computes the steps, regardless of the runtime's build, because another
    build rounds differently and would arrive at other weights.
    """
    with Runtime(threads=1) as own, TemporaryDirectory() as folder:
        adapter = LoRAAdapter(dim, dim, rank=rank, learning_rate=0.01, runtime=own)
        for target in np.random.default_rng(0).standard_normal((3, dim), np.float32):
            adapter.update(target[::-1].copy(), target)
        adapter.save(Path(folder) / "adapter")
        return LoRAAdapter.load(Path(folder) / "adapter", runtime=runtime)


def apply_case(rows: int, dim: int, rank: int) -> Case:
    """Return a case of the adaptation of many vectors."""
    adapters: WeakKeyDictionary[Runtime, LoRAAdapter] = WeakKeyDictionary()

    def make(rng: np.random.Generator) -> Inputs:
        with Runtime(threads=1) as runtime:
            adapter = _trained(dim, rank, runtime)
            return rng.standard_normal((rows, dim), np.float32), adapter.a, adapter.b

    def run(x: Array, a: Array, b: Array, *, runtime: Runtime, out: Array | None = None) -> Array:
        # The adapter already contains the same weights.
        del a, b
        if runtime not in adapters:
            adapters[runtime] = _trained(dim, rank, runtime)
        return adapters[runtime].apply(x, out=out)

    def baseline(x: Array, a: Array, b: Array) -> Array:
        result: Array = x + x @ a.T @ b.T
        return result

    return Case(
        operation="LoRAAdapter",
        size=f"apply, rank {rank}, {rows}x{dim}",
        make=make,
        run=run,
        baseline=baseline,
        oracle=lambda x, a, b: reference.lora_apply(x, a, b, 1.0),
        bound=lambda x, a, b: bounds.lora_apply(x, a, b, 1.0),
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
