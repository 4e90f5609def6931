"""A low-rank adapter that learns in microseconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.adapt.adapter import Adapter
from flashwasm.adapt.adapter_file import read_adapter, write_adapter
from flashwasm.adapt.sample_checks import LARGEST, SMALLEST, bounded, float32_rows
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.kernel_table import (
    LORA_CONTRASTIVE,
    LORA_FEEDBACK,
    LORA_MAX_CANDIDATES,
    LORA_REGRESSION,
    METRICS,
)
from flashwasm.validation import choice

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from flashwasm.runtime.runtime import Runtime

_METRICS = ("cosine", "dot")


class LoRAAdapter(Adapter):
    """A low-rank change of embeddings, y = x + (alpha / rank) B A x, learned a sample at a time.

    Where ``in_dim`` and ``out_dim`` differ there is no x to add to: y = (alpha / rank) B A x.
    All that is learned lies in the runtime's linear memory.

    Parameters
    ----------
    in_dim, out_dim : int
        Dimensions of x and y, at most 4,096.
    rank : int, default 4
        Columns of B and rows of A, at most 64.
    alpha : float, optional
        What the change is scaled by, times the rank. None means ``rank``, a factor of one.
    learning_rate : float, default 1e-3
        How far a step goes.
    optimizer : {"adam", "sgd"}, default "adam"
        Adam with beta 0.9 and 0.999, or plain gradient descent.
    weight_decay : float, default 0.0
        Decoupled: each step shrinks the weights by ``learning_rate * weight_decay``.
    ewc_lambda : float, default 0.0
        How strongly what was consolidated is held on to; see `consolidate`.
    ewc_samples : int, default 256
        Of how many samples since the last consolidation the next one is computed: a fair draw,
        kept in linear memory where ``ewc_lambda`` is not 0.
    seed : int, default 0
        What A begins with, normal numbers of variance 1 / in_dim, and which samples are kept. B
        begins with zeros, so that a new adapter changes nothing.
    runtime : Runtime, optional
        Where it lies and runs.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, ClosedError

    Notes
    -----
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. The same steps give the
    same bits, however many threads the runtime has.

    Every update returns the loss before its step, without decay and consolidation. A loss or a
    gradient that is not finite is a ShapeError and leaves the adapter as it was.

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
        """Learn that x belongs at a target: one step on reward |y - target|^2 / 2.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            What is adapted.
        target : array_like of float, shape (out_dim,)
            Where it should be.
        reward : float, default 1.0
            How much this counts; not negative. What is rejected goes to `update_feedback`.

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
            return self._step(LORA_REGRESSION, 1, 0, 0, 1, 1.0, 0.0, reward=reward)

    def update_contrastive(
        self,
        x: ArrayLike,
        positive: ArrayLike,
        negatives: ArrayLike,
        *,
        temperature: float = 0.05,
        metric: str = "cosine",
        adapt_candidates: bool = False,
        reward: float = 1.0,
    ) -> float:
        """Learn that x is nearer to one vector than to others: one step on InfoNCE.

        With y the adapted x, and s_0, s_1, ... its cosines or dot products with the positive and
        the negatives, the loss is ``-reward log(exp(s_0 / T) / sum_k exp(s_k / T))``, where T is
        the temperature. A vector shorter than 1e-18 has a cosine of 0, and no gradient by it.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            What is adapted.
        positive : array_like of float, shape (out_dim,)
            What should be near to y.
        negatives : array_like of float, shape (n, out_dim)
            What should be less near; at most 1,023.
        temperature : float, default 0.05
            What scores are divided by.
        metric : {"cosine", "dot"}, default "cosine"
            What a score is.
        adapt_candidates : bool, default False
            Whether positive and negatives go through the adapter too, as where both sides of a
            search are adapted; they are of ``in_dim`` then. False compares y with them as they are,
            as where an index stays as it was built.
        reward : float, default 1.0
            How much this counts; not negative.

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
            columns = self.in_dim if adapt_candidates else self.out_dim
            near = float32_rows(positive, "positive", columns, 1)
            others = float32_rows(negatives, "negatives", columns, 2)
            count = 1 + len(others)
            if not 1 < count <= LORA_MAX_CANDIDATES:
                message = f"negatives: expected 1 to {LORA_MAX_CANDIDATES - 1}, got {count - 1}"
                raise ShapeError(message)
            self._stage(x, near, others, adapted=adapt_candidates)
            options = (bool(adapt_candidates), METRICS[choice(metric, "metric", _METRICS)], 1)
            warmth = bounded(temperature, "temperature", SMALLEST)
            return self._step(LORA_CONTRASTIVE, count, *options, warmth, 0.0, reward=reward)

    def update_feedback(
        self,
        x: ArrayLike,
        candidate: ArrayLike,
        accepted: bool,  # noqa: FBT001 - the label, not a switch.
        reward: float = 1.0,
        *,
        temperature: float = 0.05,
        threshold: float = 0.0,
        metric: str = "cosine",
        adapt_candidates: bool = False,
    ) -> float:
        """Learn that a candidate was accepted or rejected: one step on the logistic loss.

        With y the adapted x, s its cosine or dot product with the candidate, and
        ``p = sigmoid((s - threshold) / temperature)``, the loss is ``-reward log(p)`` where the
        candidate was accepted and ``-reward log(1 - p)`` where it was rejected.

        Parameters
        ----------
        x : array_like of float, shape (in_dim,)
            What is adapted.
        candidate : array_like of float, shape (out_dim,)
            What was judged.
        accepted : bool
            How.
        reward : float, default 1.0
            How much this counts; not negative.
        temperature : float, default 0.05
            What scores are divided by.
        threshold : float, default 0.0
            The score of which p is one half.
        metric, adapt_candidates
            As for `update_contrastive`.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        if not isinstance(accepted, (bool, np.bool_)):
            message = f"accepted: expected True or False, got {accepted!r}"
            raise DTypeError(message)
        with self._entered():
            columns = self.in_dim if adapt_candidates else self.out_dim
            judged = float32_rows(candidate, "candidate", columns, 1)
            self._stage(x, judged, adapted=adapt_candidates)
            options = (bool(adapt_candidates), METRICS[choice(metric, "metric", _METRICS)])
            warmth = bounded(temperature, "temperature", SMALLEST)
            border = bounded(threshold, "threshold", -LARGEST)
            return self._step(
                LORA_FEEDBACK, 1, *options, bool(accepted), warmth, border, reward=reward
            )

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything that the next step depends on to a file, as a whole.

        Parameters
        ----------
        path : path-like
            The file; one that is there is replaced.

        Raises
        ------
        OSError
            If it cannot be written; the old file stays.
        """
        with self.runtime.lock:
            write_adapter(Path(path), self)

    @classmethod
    def load(cls, path: str | PathLike[str], *, runtime: Runtime | None = None) -> LoRAAdapter:
        """Return the adapter that `save` wrote: its next steps have the same bits.

        Parameters
        ----------
        path : path-like
            The file.
        runtime : Runtime, optional
            Where it shall lie.

        Returns
        -------
        LoRAAdapter

        Raises
        ------
        CorruptFileError
            If the file is truncated, changed, of another kind or of a later version.
        DTypeError, OutOfMemoryError, ClosedError, OSError
        """
        return read_adapter(cls, Path(path), runtime)
