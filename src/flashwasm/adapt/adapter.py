"""The base of a low-rank adapter: its arguments, state, output and training step."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from flashwasm.adapt.argument_checks import SMALLEST, bounded, checked_seed, float32_rows
from flashwasm.adapt.block import Block, padded
from flashwasm.adapt.fisher_information import fisher_information
from flashwasm.adapt.samples import Samples
from flashwasm.adapt.weights import Factors, Weights
from flashwasm.errors import ShapeError
from flashwasm.host.workers import check_status
from flashwasm.kernel_table import (
    LORA_APPLY,
    LORA_MAX_DIM,
    LORA_MAX_RANK,
    LORA_UPDATE,
)
from flashwasm.keyword_hints import ADAPTER, knows_peers
from flashwasm.runtime.deadline import checker, deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.kernel_calls import run_at_once
from flashwasm.runtime.launch import Launch
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.runtime.splitting import in_parts
from flashwasm.runtime.tasks import row_tasks
from flashwasm.summaries import summary
from flashwasm.validation import INT32_MAX, checked_out, choice, floats, positive_int

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.adapt.samples import SampleHeader
    from flashwasm.runtime.runtime import Runtime
    from flashwasm.runtime.splitting import Part

    Array = NDArray[Any]

# Decay of Adam's moments in each step, the same as in wasm/lora/update.c.
_BETA_1, _BETA_2 = 0.9, 0.999


class Progress(NamedTuple):
    """Numbers on which the next step of an adapter depends, in addition to its arrays."""

    updates: int
    # Number of samples since the last consolidation.
    seen: int
    # Adam's betas to the power of the number of updates.
    beta_1_power: float
    beta_2_power: float


class Adapter(NotCopied):
    """Base of `LoRAAdapter`, which documents the arguments and adds the losses and the file."""

    @knows_peers(ADAPTER)
    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        rank: int = 4,
        alpha: float | None = None,
        learning_rate: float = 1e-3,
        optimizer: Literal["adam", "sgd"] = "adam",
        weight_decay: float = 0.0,
        ewc_lambda: float = 0.0,
        ewc_samples: int = 256,
        seed: int = 0,
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime = checked_runtime(runtime)
        self.in_dim = positive_int(in_dim, "in_dim", LORA_MAX_DIM)
        self.out_dim = positive_int(out_dim, "out_dim", LORA_MAX_DIM)
        self.rank = positive_int(rank, "rank", LORA_MAX_RANK)
        self.alpha = float(rank) if alpha is None else bounded(alpha, "alpha", SMALLEST)
        self._learning_rate = bounded(learning_rate, "learning_rate", SMALLEST)
        self.optimizer: Literal["adam", "sgd"] = choice(optimizer, "optimizer", ("adam", "sgd"))
        self.weight_decay = bounded(weight_decay, "weight_decay", 0.0)
        self.ewc_lambda = bounded(ewc_lambda, "ewc_lambda", 0.0)
        self.ewc_samples = positive_int(ewc_samples, "ewc_samples", INT32_MAX)
        self.seed = checked_seed(seed)
        self.updates = 0
        # Adam's betas to the power of the number of steps, for the bias correction of the moments.
        self._powers = (1.0, 1.0)
        factors = Factors(
            scale=self.alpha / self.rank,
            shrink=self._learning_rate * self.weight_decay,
            ewc_lambda=self.ewc_lambda,
        )
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
        # Room for a single vector and its adapted form: see `_apply_alone`.
        self._alone = Block(self.runtime, (2, stride))

    def apply(
        self, x: ArrayLike, *, out: NDArray[np.float32] | None = None, timeout: float | None = None
    ) -> NDArray[np.float32]:
        """Return the adapted vectors, y for each x.

        Parameters
        ----------
        x : array_like of float, shape (..., in_dim)
            Vectors to adapt.
        out : numpy.ndarray of float32, shape (..., out_dim), optional
            Array to write the result to. None means a new array.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        numpy.ndarray of float32, shape (..., out_dim)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
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
        compute, check = partial(self._apply, until), checker(self.runtime, until)
        # This launch keeps the lock, so that no other thread changes the weights between two parts.
        whole = Launch(self.runtime, until)
        with whole.lock, whole:
            return in_parts(compute, (array,), shape, array.ndim - 1, out, check)

    def consolidate(self, *, timeout: float | None = None) -> None:
        """Protect the learned weights with a penalty: elastic weight consolidation.

        After the call, each step also minimises ``ewc_lambda / 2 * sum F (weights - anchor)^2``, so
        that weights which matter for the samples so far move less. The anchor is a copy of the
        present weights. F is the diagonal of the Fisher information, to which each call adds a mean
        over the stored samples, weighted by their rewards. It averages the squared gradients of a
        sample's log-likelihood, in expectation over the adapter's own predictions. If the adapter
        has learned nothing since the last call, nothing changes.

        Parameters
        ----------
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Raises
        ------
        ShapeError
            If ``ewc_lambda`` is 0, so that the call could have no effect, or if the penalty would
            be too large for float32.
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError

        Notes
        -----
        Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", 2017. The
        likelihood of a target is a normal distribution around y with unit variance.
        """
        if not self.ewc_lambda:
            message = "ewc_lambda: expected more than 0 for consolidate to have an effect, got 0"
            raise ShapeError(message)
        launch = Launch(self.runtime, timeout)
        with launch.lock, launch:
            found = self._samples.addresses()
            if not found:
                return
            self._weights.hold(fisher_information(launch, self._weights, found, self.ewc_lambda))
            self._samples.forget()

    @property
    def learning_rate(self) -> float:
        """Factor of the gradient in a step. It may be changed between steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = bounded(value, "learning_rate", SMALLEST)
        self._weights.shrink(self._learning_rate * self.weight_decay)

    @property
    def a(self) -> NDArray[np.float32]:
        """Copy of A, shape (rank, in_dim)."""
        return self._weights.a().copy()

    @property
    def b(self) -> NDArray[np.float32]:
        """Copy of B, shape (out_dim, rank)."""
        return self._weights.b().copy()

    @property
    def nbytes(self) -> int:
        """Number of bytes that the weights and the samples occupy in linear memory."""
        return self._weights.nbytes + self._samples.nbytes

    def __repr__(self) -> str:
        sizes = {"in_dim": self.in_dim, "out_dim": self.out_dim, "rank": self.rank}
        return summary(self, **sizes, updates=self.updates, closed=self.runtime.closed)

    def state(self) -> tuple[dict[str, Array], Progress]:
        """Return the whole training state: arrays by name, without copies, and numbers."""
        arrays = self._weights.arrays()
        if self._samples.seen:
            arrays["samples"] = self._samples.array()
        return arrays, Progress(self.updates, self._samples.seen, *self._powers)

    def restore(self, arrays: dict[str, Array], progress: Progress) -> None:
        """Set the state to an earlier result of `state`, which the caller has checked."""
        self.updates = progress.updates
        self._powers = (progress.beta_1_power, progress.beta_2_power)
        if progress.seen:
            self._samples.restore(progress.seen, arrays["samples"])
            self._weights.reserve(self._samples.capacity)
        self._weights.restore({name: x for name, x in arrays.items() if name != "samples"})

    def _apply_alone(self, x: Array) -> Array:
        """Adapt one vector that lies outside linear memory, without the overhead of a launch."""
        given, adapted = self._alone.array
        at = self._alone.address
        with self._entered():
            given[: self.in_dim] = x
            arguments = (self._weights.address, at, at + given.nbytes, 1)
            check_status(LORA_APPLY, run_at_once(self.runtime, LORA_APPLY, arguments))
            result: Array = adapted[: self.out_dim].copy()
        return result

    def _apply(self, until: float, part: Part) -> Array:
        """Adapt checked vectors, in tasks of some rows each."""
        (x,), out = part
        rows, shape = x.size // self.in_dim, (*x.shape[:-1], self.out_dim)
        launch = Launch(self.runtime, until)
        with launch.lock, launch:
            source = launch.place(x)
            to = launch.place_result(shape, out, in_place=self.in_dim == self.out_dim)
            # B A x needs `rank` multiply-adds for each number of x, and as many for each number of
            # y.
            tasks = row_tasks(rows, (self.in_dim + self.out_dim) * self.rank, launch.threads)
            at, width, height = self._weights.address, 4 * self.in_dim, 4 * self.out_dim
            launch.run_tasks(
                LORA_APPLY, [[(at, source + i * width, to + i * height, n)] for i, n in tasks]
            )
            return launch.finish()

    def _entered(self) -> AbstractContextManager[object]:
        """Return the cheapest context in which no other thread uses the runtime.

        Only a runtime with a timeout needs a launch, which limits how long the call waits.
        """
        runtime = self.runtime
        return runtime.lock if runtime.timeout is None else Launch(runtime, None).lock

    def _stage(self, x: ArrayLike, first: Array, others: Array | None = None) -> None:
        """Write a sample to the memory that the kernel reads.

        A sample consists of x, which this method checks, and of the candidates: ``first``
        (columns,) and ``others`` (n, columns). A target counts as a candidate.
        """
        vector = float32_rows(x, "x", self.in_dim, 1)
        count = 1 if others is None else 1 + len(others)
        if count > self._samples.capacity:
            # The weights come first: if memory runs out after them, `capacity` is unchanged, and
            # the next sample of this size reserves both again.
            capacity = self._samples.grown(count)
            self._weights.reserve(capacity)
            self._samples.reserve(capacity)
        self._samples.write(vector, first, others)

    def _step(self, header: SampleHeader) -> float:
        """Take a step on the staged sample, and return its loss before the step."""
        powers = (self._powers[0] * _BETA_1, self._powers[1] * _BETA_2)
        size, correction = self._learning_rate, 1.0
        if self._adam:
            size, correction = size / (1 - powers[0]), 1 / (1 - powers[1])
        samples = self._samples
        samples.describe(header)
        operands = (self._weights.address, samples.address, self._loss.address)
        check_status(
            LORA_UPDATE, run_at_once(self.runtime, LORA_UPDATE, (*operands, size, correction))
        )
        value: float = self._loss.array.item()
        if math.isnan(value):
            message = (
                "x and the vectors beside it: expected finite numbers, and weights that have "
                "not diverged; the loss or its gradient is not finite"
            )
            raise ShapeError(message)
        self._powers = powers
        self.updates += 1
        if self.ewc_lambda:
            samples.keep()
        return value
