"""A low-rank adapter of embeddings, which learns from one sample in microseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flashwasm.adapt.adapter import Adapter
from flashwasm.adapt.adapter_file import read_adapter, write_adapter
from flashwasm.adapt.argument_checks import LARGEST, SMALLEST, bounded, float32_rows
from flashwasm.adapt.samples import SampleHeader
from flashwasm.errors import ShapeError
from flashwasm.kernel_table import (
    LORA_CONTRASTIVE,
    LORA_FEEDBACK,
    LORA_MAX_CANDIDATES,
    LORA_REGRESSION,
    METRICS,
)
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import choice, flag

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

_METRICS = ("cosine", "dot")


class LoRAAdapter(Adapter):
    """Low-rank adapter of embeddings, y = x + (alpha / rank) B A x, that learns sample by sample.

    If ``in_dim`` and ``out_dim`` differ, x cannot be added, and y = (alpha / rank) B A x. The
    adapter learns the matrices A and B, which lie in the runtime's linear memory. B starts as
    zeros, so a new adapter returns x itself, or zeros if the lengths differ.

    Parameters
    ----------
    in_dim : int
        Length of x, at most 4,096.
    out_dim : int
        Length of y, at most 4,096.
    rank : int, default 4
        Number of rows of A, and of columns of B, at most 64.
    alpha : float, optional
        Strength of the adapter: ``alpha / rank`` is the factor of B A x. None means ``rank``, so
        that the factor is 1.
    learning_rate : float, default 1e-3
        Factor of the gradient in a step.
    optimizer : {"adam", "sgd"}, default "adam"
        Rule of a step: Adam with the betas 0.9 and 0.999, or plain gradient descent.
    weight_decay : float, default 0.0
        Decoupled weight decay: each step subtracts ``learning_rate * weight_decay`` times the
        weights from them.
    ewc_lambda : float, default 0.0
        Factor of the penalty that keeps weights near their values at the last `consolidate`. 0
        means no penalty.
    ewc_samples : int, default 256
        Maximum number of samples for `consolidate`. They are drawn with equal probability from the
        samples since the last consolidation. Linear memory stores them unless ``ewc_lambda`` is 0.
    seed : int, default 0
        Seed from 0 to 2**64 - 1. It determines the initial values of A, which are normal with
        variance 1 / in_dim, and the drawn samples.
    runtime : Runtime, optional
        Runtime to use. None means the default runtime.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, ClosedError

    Notes
    -----
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. The same steps give the
    same bits with any number of threads.

    Every update returns the loss before its step, without weight decay and the penalty of
    consolidation. If the loss or a gradient is not finite, the update raises ShapeError and the
    adapter does not change.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> adapter = fw.LoRAAdapter(8, 8, rank=2, learning_rate=0.05)
    >>> x, target = np.eye(8, dtype=np.float32)[:2]
    >>> losses = [adapter.update(x, target) for _ in range(100)]
    >>> losses[0], losses[-1] < 1e-3
    (1.0, True)
    """

    def update(self, x: ArrayLike, target: ArrayLike, reward: float = 1.0) -> float:
        """Move y towards a target: take one step on the loss reward |y - target|^2 / 2.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            Vector to adapt.
        target : array_like of float, shape (out_dim,)
            Vector that y, the adapted x, should approach.
        reward : float, default 1.0
            Factor of the loss, not negative. To learn from a rejection, use `update_feedback`.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        with self._entered():
            goal = float32_rows(target, "target", self.out_dim, 1)
            self._stage(x, goal)
            return self._step(SampleHeader(LORA_REGRESSION, reward=_checked_reward(reward)))

    def update_contrastive(
        self,
        x: ArrayLike,
        positive: ArrayLike,
        negatives: ArrayLike,
        *,
        temperature: float = 0.05,
        metric: Literal["cosine", "dot"] = "cosine",
        adapt_candidates: bool = False,
        reward: float = 1.0,
    ) -> float:
        """Move y towards one vector and away from others: take one step on the InfoNCE loss.

        y is the adapted x. s_0 is its score with the positive, and s_1, s_2, ... are its scores
        with the negatives: cosines or dot products. The loss is ``-reward log(exp(s_0 / T) / sum_k
        exp(s_k / T))``, where T is the temperature. A vector shorter than 1e-18 has the cosine 0
        with every other vector, and no gradient.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            Vector to adapt.
        positive : array_like of float, shape (out_dim,)
            Vector that y should approach.
        negatives : array_like of float, shape (n, out_dim)
            Vectors, from 1 to 1,023, from which y should move away.
        temperature : float, default 0.05
            Divisor of the scores.
        metric : {"cosine", "dot"}, default "cosine"
            Score of two vectors.
        adapt_candidates : bool, default False
            True to adapt the positive and the negatives too, for use where both the queries and the
            vectors of an index are adapted. They then have ``in_dim`` numbers. False compares y
            with the unchanged vectors, for use where only queries are adapted.
        reward : float, default 1.0
            Factor of the loss, not negative.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError

        Notes
        -----
        van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive Coding",
        2018.
        """
        with self._entered():
            adapted = flag(adapt_candidates, "adapt_candidates")
            columns = self.in_dim if adapted else self.out_dim
            near = float32_rows(positive, "positive", columns, 1)
            others = float32_rows(negatives, "negatives", columns, 2)
            count = 1 + len(others)
            if not 1 < count <= LORA_MAX_CANDIDATES:
                message = f"negatives: expected 1 to {LORA_MAX_CANDIDATES - 1}, got {count - 1}"
                raise ShapeError(message)
            self._stage(x, near, others)
            header = SampleHeader(
                LORA_CONTRASTIVE,
                candidates=count,
                adapted=adapted,
                metric=METRICS[choice(metric, "metric", _METRICS)],
                temperature=bounded(temperature, "temperature", SMALLEST),
                reward=_checked_reward(reward),
            )
            return self._step(header)

    def update_feedback(
        self,
        x: ArrayLike,
        candidate: ArrayLike,
        accepted: bool,  # noqa: FBT001 - it is the label to learn, not an option of the call.
        reward: float = 1.0,
        *,
        temperature: float = 0.05,
        threshold: float = 0.0,
        metric: Literal["cosine", "dot"] = "cosine",
        adapt_candidates: bool = False,
    ) -> float:
        """Learn from an accepted or rejected candidate: take one step on the logistic loss.

        y is the adapted x, s is its cosine or dot product with the candidate, and ``p = sigmoid((s
        - threshold) / temperature)``. The loss is ``-reward log(p)`` if the candidate was accepted,
        and ``-reward log(1 - p)`` if it was rejected.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            Vector to adapt.
        candidate : array_like of float, shape (out_dim,)
            Vector that was found for x and then accepted or rejected.
        accepted : bool
            True if the candidate was accepted, False if it was rejected.
        reward : float, default 1.0
            Factor of the loss, not negative.
        temperature : float, default 0.05
            Divisor of the score.
        threshold : float, default 0.0
            Score for which p is one half.
        metric : {"cosine", "dot"}, default "cosine"
            Score of two vectors.
        adapt_candidates : bool, default False
            True to adapt the candidate too; it then has ``in_dim`` numbers. False compares y with
            the unchanged candidate.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        judgement = flag(accepted, "accepted")
        with self._entered():
            adapted = flag(adapt_candidates, "adapt_candidates")
            columns = self.in_dim if adapted else self.out_dim
            judged = float32_rows(candidate, "candidate", columns, 1)
            self._stage(x, judged)
            header = SampleHeader(
                LORA_FEEDBACK,
                adapted=adapted,
                metric=METRICS[choice(metric, "metric", _METRICS)],
                accepted=judgement,
                temperature=bounded(temperature, "temperature", SMALLEST),
                threshold=bounded(threshold, "threshold", -LARGEST),
                reward=_checked_reward(reward),
            )
            return self._step(header)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the adapter to a file, with everything that its next step depends on.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file. An existing file is replaced.

        Raises
        ------
        OSError
            If the file cannot be written. An existing file does not change then.
        ShapeError, DTypeError
            If ``path`` is not a path.
        ClosedError
            If the runtime was closed.
        """
        with self.runtime.lock:
            write_adapter(checked_path(path), self)

    @classmethod
    def load(cls, path: str | PathLike[str], *, runtime: Runtime | None = None) -> LoRAAdapter:
        """Read an adapter from a file. It continues with the same bits as the saved adapter.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file, as given to `save`.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.

        Returns
        -------
        LoRAAdapter

        Raises
        ------
        CorruptFileError
            If the file is truncated or changed, contains something else, or has a later version.
        ShapeError, DTypeError, OutOfMemoryError, ClosedError, OSError
        """
        return read_adapter(cls, checked_path(path), runtime)


def _checked_reward(reward: float) -> float:
    """Return the factor of a loss, or raise if it is negative or too large."""
    return bounded(reward, "reward", 0.0)
