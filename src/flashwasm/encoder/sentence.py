"""Texts to unit vectors, with a BERT-family sentence-transformers model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm import ops
from flashwasm.encoder import models
from flashwasm.encoder.bert import Bert
from flashwasm.encoder.config import BertConfig, Pooling, read_pooling
from flashwasm.encoder.progress import progress_report
from flashwasm.encoder.releases import CONFIG, TOKENIZER, WEIGHTS
from flashwasm.encoder.weights import optional_module, read_weights
from flashwasm.errors import CapabilityError, DTypeError, ShapeError
from flashwasm.runtime.runtime import default_runtime
from flashwasm.validation import positive_int

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["SentenceEncoder"]

Floats = npt.NDArray[np.float32]

DEFAULT_BATCH_TOKENS = 2048
DEFAULT_MAX_LENGTH = 256


class SentenceEncoder:
    """A sentence-transformers model of the BERT family, run in the sandbox.

    Made by `SentenceEncoder.load`. One encoder may be used from several threads; calls take turns.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    runtime : Runtime
        The sandbox that holds the weights.

    Attributes
    ----------
    name : str
        The folder's name, which is an installed model's name.
    folder : pathlib.Path
        Where its files lie.
    dim : int
        Components of an embedding.
    variant : str
        Which build of the kernels runs it.
    """

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        tokenizers = optional_module("tokenizers")
        config = BertConfig.read(folder / CONFIG)
        self.name = folder.name
        self.dim = config.hidden_size
        self.folder = folder
        self.variant = runtime.variant
        self._runtime = runtime
        self._max_positions = config.max_position_embeddings
        self._pooling: Pooling = read_pooling(folder)
        self._tokenizer = _read_tokenizer(tokenizers, folder / TOKENIZER)
        words = self._tokenizer.get_vocab_size()
        if words > config.vocab_size:
            raise CapabilityError(
                f"{folder}: the tokenizer has {words} tokens, the model {config.vocab_size}"
            )
        self._bert = Bert(config, read_weights(folder / WEIGHTS), runtime)
        # The tokenizer's truncation and the model's buffers are set anew by each call.
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, model: str | Path | None = None, *, runtime: Runtime | None = None
    ) -> SentenceEncoder:
        """Load a model.

        Parameters
        ----------
        model : str or pathlib.Path, optional
            The name of an installed model, or the folder of any BERT-family model with
            ``config.json``, ``model.safetensors`` and ``tokenizer.json``. None is the default
            model.
        runtime : Runtime, optional
            The sandbox to run in; the process-wide one when None.

        Returns
        -------
        SentenceEncoder
            Ready to encode, its weights in linear memory.

        Raises
        ------
        CapabilityError
            If the model is not installed, or cannot be run, or if a package that loading needs is
            missing; the message says how to get what is missing.

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> encoder.encode(["That is a happy person"]).shape  # doctest: +SKIP
        (1, 384)
        """
        folder = models.locate(model)
        return cls(folder, default_runtime() if runtime is None else runtime)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights file, in hexadecimal."""
        return models.weights_digest(self.folder)

    def encode(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> Floats:
        """One unit vector a text.

        Parameters
        ----------
        texts : iterable of str
            The texts. An embedding's bits do not depend on the texts beside it.
        batch_tokens : int, default 2048
            Tokens a batch, at most, unless one text alone has more. More need more linear memory.
        max_length : int, default 256
            Tokens a text, at most, with the special ones; the rest of a text is left out, and so is
            what the model has no positions for.
        progress : bool or callable, default False
            True draws a bar on stderr where that is a terminal; a function is called with the
            number of texts done and their total after each batch.

        Returns
        -------
        numpy.ndarray
            ``(n, dim)`` float32, rows of length 1.

        Raises
        ------
        DTypeError
            If `texts` is a single string, or holds something that is not a text.
        ShapeError
            If `max_length` is less than the special tokens need, or `batch_tokens` not positive.

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> a, b, c = encoder.encode(["a cat", "a kitten", "a tax form"])  # doctest: +SKIP
        >>> bool(a @ b > a @ c)  # doctest: +SKIP
        True
        """
        vectors = self._run(texts, self._pool, batch_tokens, max_length, progress)
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)

    def encode_tokens(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> list[Floats]:
        """Hidden states of the last layer, one vector a token.

        Parameters
        ----------
        texts, batch_tokens, max_length, progress
            As for `encode`.

        Returns
        -------
        list of numpy.ndarray
            One float32 array ``(tokens, dim)`` a text, with its special tokens; not normalised.

        Raises
        ------
        DTypeError, ShapeError
            As `encode` does.

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> [matrix.shape for matrix in encoder.encode_tokens(["a cat"])]  # doctest: +SKIP
        [(4, 384)]
        """

        def split(hidden: Floats, cu_seqlens: npt.NDArray[np.int32]) -> Iterable[Floats]:
            return [rows.copy() for rows in np.split(hidden, cu_seqlens[1:-1])]

        return self._run(texts, split, batch_tokens, max_length, progress)

    def _run(
        self,
        texts: Iterable[str],
        read: Callable[[Floats, npt.NDArray[np.int32]], Iterable[Floats]],
        batch_tokens: int,
        max_length: int,
        progress: bool | Callable[[int, int], None],  # noqa: FBT001 - passed on from the callers.
    ) -> list[Floats]:
        """Return what ``read`` makes of each text's hidden states, in the order of the texts."""
        checked = _check_texts(texts)
        self._check_sizes(batch_tokens, max_length)
        results: list[Floats] = [np.empty(0, np.float32)] * len(checked)
        bar = progress_report("embedding", show=progress is True)
        with self._lock, bar as advance:
            report = progress if callable(progress) else advance
            ids = self._token_ids(checked, max_length)
            done = 0
            for batch in _batches([len(row) for row in ids], batch_tokens):
                packed = np.array([token for i in batch for token in ids[i]], np.int32)
                cu_seqlens = np.cumsum([0, *(len(ids[i]) for i in batch)], dtype=np.int32)
                hidden = self._bert.forward(packed, cu_seqlens)
                for i, result in zip(batch, read(hidden, cu_seqlens), strict=True):
                    results[i] = result
                done += len(batch)
                report(done, len(checked))
        return results

    def _pool(self, hidden: Floats, cu_seqlens: npt.NDArray[np.int32]) -> Floats:
        if self._pooling == "mean":
            pooled = ops.mean_pool(hidden, cu_seqlens, normalize=True, runtime=self._runtime)
            return np.array(pooled)
        first = hidden[cu_seqlens[:-1]]
        unit: Floats = first / np.linalg.norm(first, axis=1, keepdims=True)
        return unit

    def _token_ids(self, texts: list[str], max_length: int) -> list[list[int]]:
        # tokenizer.json may carry a truncation and a padding of its own, for another purpose.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(max_length, self._max_positions))
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        for i, row in enumerate(ids):
            if not row:
                raise ShapeError(f"texts[{i}] has no token: the tokenizer adds no special ones")
        return ids

    def _check_sizes(self, batch_tokens: int, max_length: int) -> None:
        positive_int(batch_tokens, "batch_tokens")
        shortest = self._tokenizer.num_special_tokens_to_add(is_pair=False) + 1
        if positive_int(max_length, "max_length") < shortest:
            raise ShapeError(f"max_length is {max_length}; {self.name} needs at least {shortest}")


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Positions of texts, longest first, in batches of at most ``batch_tokens`` tokens.

    Texts of like length make batches of like work, and the longest first takes the buffers once.
    """
    batch: list[int] = []
    total = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and total + lengths[i] > batch_tokens:
            yield batch
            batch, total = [], 0
        batch.append(i)
        total += lengths[i]
    if batch:
        yield batch


def _check_texts(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise DTypeError("texts is a str; expected a list of str: encode([text])")
    if not isinstance(texts, Iterable):
        raise DTypeError(f"texts is {type(texts).__name__}; expected a list of str")
    checked = list(texts)
    for i, text in enumerate(checked):
        if not isinstance(text, str):
            raise DTypeError(f"texts[{i}] is {type(text).__name__}; expected str")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DTypeError(f"texts[{i}] is not valid Unicode: {error}") from error
    return checked


def _read_tokenizer(tokenizers: Any, path: Path) -> Any:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower.
        raise CapabilityError(f"{path} cannot be read as a tokenizer: {error}") from error
