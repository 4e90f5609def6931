"""What an adapter is, apart from how it learns: its arguments, its state, its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.adapt.adapter_memory import Block, Samples, Weights, padded
from flashwasm.adapt.sample_checks import SMALLEST, bounded, float32_rows
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.host.workers import check_status
from flashwasm.kernel_table import (
    LORA_APPLY,
    LORA_FISHER,
    LORA_MAX_DIM,
    LORA_MAX_RANK,
    LORA_UPDATE,
)
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.launch import Launch, run_at_once
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.runtime.splitting import in_parts
from flashwasm.runtime.tasks import row_tasks
from flashwasm.validation import checked_out, choice, floats, positive_int

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_BETA_1, _BETA_2 = 0.9, 0.999
# Of a penalty's second derivative, so that it can be squared.
_STRONGEST = 1e15


class Adapter:
    """The weights of a low-rank adapter, its output, and a step of its training."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        rank: int = 4,
        alpha: float | None = None,
        learning_rate: float = 1e-3,
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        ewc_lambda: float = 0.0,
        ewc_samples: int = 256,
        seed: int = 0,
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime = checked_runtime(runtime)
        self.in_dim = _at_most(in_dim, "in_dim", LORA_MAX_DIM)
        self.out_dim = _at_most(out_dim, "out_dim", LORA_MAX_DIM)
        self.rank = _at_most(rank, "rank", LORA_MAX_RANK)
        self.alpha = float(rank) if alpha is None else bounded(alpha, "alpha", SMALLEST)
        self._learning_rate = bounded(learning_rate, "learning_rate", SMALLEST)
        self.optimizer = choice(optimizer, "optimizer", ("adam", "sgd"))
        self.weight_decay = bounded(weight_decay, "weight_decay", 0.0)
        self.ewc_lambda = bounded(ewc_lambda, "ewc_lambda", 0.0)
        self.ewc_samples = positive_int(ewc_samples, "ewc_samples")
        self.seed = _checked_seed(seed)
        self.updates = 0
        # What Adam's moments are short of one by: the betas to the power of the steps taken.
        self._powers = (1.0, 1.0)
        factors = (self.alpha / self.rank, self._learning_rate * self.weight_decay, self.ewc_lambda)
        self._adam = self.optimizer == "adam"
        self._weights = Weights(
            self.runtime, self.in_dim, self.out_dim, self.rank, factors, adam=self._adam
        )
        normal = np.random.default_rng(self.seed).standard_normal((self.rank, self.in_dim))
        self._weights.a()[...] = normal / np.sqrt(self.in_dim)
        kept = self.ewc_samples if self.ewc_lambda else 0
        stride = padded(max(self.in_dim, self.out_dim))
        self._samples = Samples(self.runtime, stride, kept, self.seed)
        self._loss = Block(self.runtime, (1,))
        # A vector that is to be adapted alone, and what becomes of it.
        self._alone = Block(self.runtime, (2, stride))

    def apply(
        self, x: ArrayLike, *, out: Array | None = None, timeout: float | None = None
    ) -> Array:
        """Return adapted vectors.

        Parameters
        ----------
        x : array_like of float, shape (..., in_dim)
            Vectors.
        out : numpy.ndarray of float32, shape (..., out_dim), optional
            Where to write.
        timeout : float, optional
            Seconds.

        Returns
        -------
        numpy.ndarray of float32, shape (..., out_dim)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        array = floats(x, "x", at_least=1)
        if array.shape[-1] != self.in_dim:
            message = f"x: expected shape (..., {self.in_dim}), got {array.shape}"
            raise ShapeError(message)
        shape = (*array.shape[:-1], self.out_dim)
        timed = timeout is not None or self.runtime.timeout is not None
        if array.ndim == 1 and out is None and not timed and not self.runtime.holds(array):
            return self._apply_alone(array)
        checked_out(out, shape)
        until = deadline(self.runtime, timeout)
        return in_parts(
            lambda part: self._apply(part[0][0], part[1], until),
            (array,),
            shape,
            array.ndim - 1,
            out,
        )

    def consolidate(self, *, timeout: float | None = None) -> None:
        """Hold on to what was learned since the last call: elastic weight consolidation.

        From now on each step also minimises ``ewc_lambda / 2 * sum F (weights - anchor)^2``. The
        anchor is the weights as they are now. To F is added the mean over the samples that were
        kept, weighted by their rewards, of the diagonal of the Fisher information at these
        weights: the squared gradients of each sample's log-likelihood, in expectation over what
        the adapter itself predicts. Where nothing was learned since the last call, nothing changes.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        ShapeError
            If ``ewc_lambda`` is 0, so that this could have no effect, or if a penalty could not be
            computed in float32.
        OutOfMemoryError, DeadlineExceeded, ClosedError

        Notes
        -----
        Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", 2017. The
        likelihood of a target is normal with unit variance about y.
        """
        if not self.ewc_lambda:
            message = "ewc_lambda: expected more than 0 for consolidate to have an effect, got 0"
            raise ShapeError(message)
        with Launch(self.runtime, timeout) as op:
            found = self._samples.addresses()
            if not found:
                return
            at, fisher = op.scratch(self._weights.shape)
            fisher[:] = 0
            for sample in found:
                op.run_once(LORA_FISHER, (self._weights.address, sample, at, 1 / len(found)))
            if not fisher.max() * self.ewc_lambda < _STRONGEST:
                message = (
                    "ewc_lambda: expected a penalty of moderate size, got "
                    f"{self.ewc_lambda} times Fisher information of {fisher.max():g}"
                )
                raise ShapeError(message)
            self._weights.hold(fisher)
            self._samples.forget()

    @property
    def learning_rate(self) -> float:
        """How far a step goes; it may be changed between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = bounded(value, "learning_rate", SMALLEST)
        self._weights.shrink(self._learning_rate * self.weight_decay)

    @property
    def a(self) -> Array:
        """A copy of A, shape (rank, in_dim)."""
        return self._weights.a().copy()

    @property
    def b(self) -> Array:
        """A copy of B, shape (out_dim, rank)."""
        return self._weights.b().copy()

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory that it takes."""
        return self._weights.nbytes + self._samples.nbytes

    def __repr__(self) -> str:
        sizes = f"{self.in_dim} to {self.out_dim}, rank {self.rank}"
        return f"<{type(self).__name__} {sizes}, {self.updates} updates>"

    def state(self) -> tuple[dict[str, Array], tuple[float, ...]]:
        """Return the arrays that the next step depends on, and the numbers."""
        arrays = self._weights.arrays()
        if self._samples.seen:
            arrays["samples"] = self._samples.array()
        return arrays, (self.updates, self._samples.seen, *self._powers)

    def restore(self, arrays: dict[str, Array], progress: tuple[int, int, float, float]) -> None:
        """Take what ``state`` returned once, checked."""
        self.updates, seen, *powers = progress
        self._powers = (powers[0], powers[1])
        if seen:
            self._samples.restore(seen, arrays["samples"])
            self._weights.reserve(self._samples.capacity)
        self._weights.restore({name: x for name, x in arrays.items() if name != "samples"})

    def _apply_alone(self, x: Array) -> Array:
        """Adapt one vector of NumPy's memory the short way."""
        given, adapted = self._alone.array
        at = self._alone.address
        with self._entered():
            given[: self.in_dim] = x
            arguments = (self._weights.address, at, at + given.nbytes, 1)
            check_status(LORA_APPLY, run_at_once(self.runtime, LORA_APPLY, arguments))
            result: Array = adapted[: self.out_dim].copy()
        return result

    def _apply(self, x: Array, out: Array | None, timeout: float | None) -> Array:
        """Adapt checked vectors."""
        rows, shape = x.size // self.in_dim, (*x.shape[:-1], self.out_dim)
        with Launch(self.runtime, timeout) as op:
            source = op.place(x)
            to = op.place_result(shape, out, in_place=self.in_dim == self.out_dim)
            # An element costs as many multiplications as there are ranks, in and out.
            tasks = row_tasks(rows, (self.in_dim + self.out_dim) * self.rank, op.threads)
            at, width, height = self._weights.address, 4 * self.in_dim, 4 * self.out_dim
            op.run_tasks(
                LORA_APPLY, [[(at, source + i * width, to + i * height, n)] for i, n in tasks]
            )
            return op.finish()

    def _entered(self) -> AbstractContextManager[object]:
        """Return what holds the runtime for a step."""
        runtime = self.runtime
        return runtime.lock if runtime.timeout is None else Launch(runtime, None)

    def _stage(
        self, x: ArrayLike, first: Array, others: Array | None = None, *, adapted: bool = False
    ) -> None:
        """Write the rows of a sample where the kernel reads them."""
        vector = float32_rows(x, "x", self.in_dim, 1)
        count = 1 if others is None else 1 + len(others)
        if count > self._samples.capacity:
            # In this order: where memory ends in between, the samples stay as small as they were.
            capacity = self._samples.grown(count)
            self._weights.reserve(capacity)
            self._samples.reserve(capacity)
        rows = self._samples.rows
        columns = self.in_dim if adapted else self.out_dim
        if self.in_dim != self.out_dim:
            # A sample before may have had longer candidates.
            rows[1 : 1 + count] = 0
        rows[0, : self.in_dim] = vector
        rows[1, :columns] = first
        if others is not None:
            rows[2 : 1 + count, :columns] = others

    def _step(self, loss: int, candidates: int, *numbers: float, reward: float) -> float:
        """Take a step on the sample that is staged, and return its loss."""
        numbers = (*numbers, bounded(reward, "reward", 0.0))
        powers = (self._powers[0] * _BETA_1, self._powers[1] * _BETA_2)
        size, correction = self._learning_rate, 1.0
        if self._adam:
            size, correction = size / (1 - powers[0]), 1 / (1 - powers[1])
        samples = self._samples
        samples.describe(loss, candidates, *numbers)
        operands = (self._weights.address, samples.address, self._loss.address)
        check_status(
            LORA_UPDATE, run_at_once(self.runtime, LORA_UPDATE, (*operands, size, correction))
        )
        value: float = self._loss.array.item()
        if value != value:  # noqa: PLR0124 - NaN alone is not itself.
            message = (
                "x and what it is compared with: expected finite numbers, and weights that have "
                "not diverged; the loss or its gradient is not finite"
            )
            raise ShapeError(message)
        self._powers = powers
        self.updates += 1
        if self.ewc_lambda:
            samples.keep()
        return value


def _at_most(value: int, name: str, most: int) -> int:
    checked = positive_int(value, name)
    if checked > most:
        message = f"{name}: expected at most {most}, got {value}"
        raise ShapeError(message)
    return checked


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        message = f"seed: expected an integer, got {seed!r}"
        raise DTypeError(message)
    if not 0 <= seed < 1 << 64:
        message = f"seed: expected 0 to 2**64 - 1, got {seed}"
        raise ShapeError(message)
    return int(seed)
