"""Sentence embeddings that workers compute."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.executors import Call, results_in_order, workers_of
from flashwasm.distributed.worker_runtime import WorkerSetup
from flashwasm.encoder.bert import Precision
from flashwasm.encoder.installed_models import fingerprint, locate
from flashwasm.encoder.model_config import BertConfig
from flashwasm.encoder.model_files import CONFIG
from flashwasm.encoder.sentence_encoder import (
    DEFAULT_BATCH_TOKENS,
    DEFAULT_MAX_LENGTH,
    SentenceEncoder,
)
from flashwasm.encoder.texts import checked_texts
from flashwasm.errors import CapabilityError
from flashwasm.progress_bar import progress_report
from flashwasm.runtime.locks import renewed_after_fork
from flashwasm.summaries import summary
from flashwasm.validation import choice, flag, positive_int

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["WorkersEncoder"]

Floats = npt.NDArray[np.float32]

# Number of texts in a part. It is large enough for batches of texts of similar length, and small
# enough that each worker gets some parts.
_TEXTS = 128

# Encoders of this process. Each is loaded once, and stays until its runtime is closed.
_encoders: dict[tuple[WorkerSetup, str, Precision], tuple[Runtime, SentenceEncoder]] = {}
_lock = renewed_after_fork(sys.modules[__name__], threading.Lock)


class WorkersEncoder(SentenceEncoder):
    """A sentence encoder that lets workers embed the texts, with the same bits.

    Use it in place of a `SentenceEncoder`, for example as ``model`` of `SuiteIndex.build`. Each
    worker loads the model once and keeps it.

    Parameters
    ----------
    executor : object
        Executor of the workers: `LocalWorkers`, a pool of `concurrent.futures`, or a
        ``dask.distributed.Client``.
    model : str or pathlib.Path, optional
        As in `SentenceEncoder.load`. Each worker needs the same model, in a folder with the same
        path or installed under the same name.
    precision : {"float32", "int8"}, default "float32"
        As in `SentenceEncoder.load`.

    Raises
    ------
    CapabilityError
        If the model is not installed here. If a worker does not have it, `encode` raises the error.
    ShapeError, DTypeError
    """

    def __init__(
        self,
        executor: Any,
        model: str | Path | None = None,
        *,
        precision: Precision = "float32",
    ) -> None:
        self._workers = workers_of(executor)
        self.precision = choice(precision, "precision", get_args(Precision))
        self.folder = locate(model)
        self.name = self.folder.name
        self.dim = BertConfig.read(self.folder / CONFIG).hidden_size
        self._setup = WorkerSetup.of(self._workers)
        self.variant = self._setup.variant
        self._fingerprint = fingerprint(self.folder)

    def __repr__(self) -> str:
        return summary(self, repr(self.name), dim=self.dim, precision=self.precision)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        precision: Precision = "float32",
        runtime: Runtime | None = None,
    ) -> SentenceEncoder:
        """Raise CapabilityError, because an encoder without an executor has no workers.

        Parameters
        ----------
        model, precision, runtime
            As in `SentenceEncoder.load`.

        Raises
        ------
        CapabilityError
            Always.
        """
        del model, precision, runtime
        raise CapabilityError("expected an executor: WorkersEncoder(executor, model) makes one")

    def encode(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> Floats:
        """Embed each text as one unit vector, as `SentenceEncoder.encode` does.

        Parameters
        ----------
        texts, batch_tokens, max_length, progress
            As in `SentenceEncoder.encode`. ``progress`` is called after each part.

        Raises
        ------
        CapabilityError
            If a worker does not have the model, or if the worker that computed a part ended several
            times.
        DTypeError, ShapeError
        """
        found = self._spread("encode", texts, batch_tokens, max_length, progress)
        return np.concatenate([np.empty((0, self.dim), np.float32), *found])

    def encode_tokens(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> list[Floats]:
        """Return one vector for each token, as `SentenceEncoder.encode_tokens` does.

        Parameters
        ----------
        texts, batch_tokens, max_length, progress
            As in `encode`.

        Raises
        ------
        CapabilityError, DTypeError, ShapeError
            For the same reasons as in `encode`.
        """
        found = self._spread("encode_tokens", texts, batch_tokens, max_length, progress)
        return [rows for part in found for rows in part]

    def _spread(
        self,
        method: str,
        texts: Iterable[str],
        batch_tokens: int,
        max_length: int,
        progress: bool | Callable[[int, int], None],  # noqa: FBT001 - as of the public methods.
    ) -> list[Any]:
        """Let the workers call a method of their encoders on parts of the texts."""
        checked = checked_texts(texts)
        sizes = {
            "batch_tokens": positive_int(batch_tokens, "batch_tokens"),
            "max_length": positive_int(max_length, "max_length"),
        }
        if not callable(progress):
            flag(progress, "progress")
        model = self._setup, str(self.folder), self._fingerprint, self.precision
        parts = [checked[i : i + _TEXTS] for i in range(0, len(checked), _TEXTS)]
        calls = (Call(_encode, (*model, method, part, sizes)) for part in parts)
        found, done = [], 0
        with progress_report("embedding", show=progress is True) as advance:
            report = progress if callable(progress) else advance
            for part, result in zip(parts, results_in_order(self._workers, calls), strict=True):
                found.append(result)
                done += len(part)
                report(done, len(checked))
        return found


def _encode(
    setup: WorkerSetup,
    folder: str,
    wanted: str,
    precision: Precision,
    method: str,
    texts: list[str],
    sizes: dict[str, int],
) -> Any:
    """Embed texts, in a worker."""
    encoder = _encoder(setup, folder, wanted, precision)
    return getattr(encoder, method)(texts, **sizes)


def _encoder(setup: WorkerSetup, folder: str, wanted: str, precision: Precision) -> SentenceEncoder:
    """Return this process's encoder for a model. The first call loads it."""
    runtime = setup.runtime()
    with _lock:
        known = _encoders.get((setup, wanted, precision))
        if known is not None and known[0] is runtime:
            return known[1]
        path = Path(folder)
        here = locate(path if path.is_dir() else path.name)
        if fingerprint(here) != wanted:
            raise CapabilityError(
                f"the model {path.name} of a worker, in {here}, differs from that of the process "
                "that sends it texts; install the same model on all workers"
            )
        made = SentenceEncoder.load(here, precision=precision, runtime=runtime)
        _encoders[setup, wanted, precision] = runtime, made
        return made
