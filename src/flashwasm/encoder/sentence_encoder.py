"""A sentence encoder: from texts to unit vectors, with a sentence-transformers model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from flashwasm import ops
from flashwasm.encoder.bert import Bert, Precision
from flashwasm.encoder.installed_models import locate, weights_digest
from flashwasm.encoder.model_config import BertConfig, Pooling, read_pooling
from flashwasm.encoder.model_files import CONFIG, TOKENIZER, WEIGHTS
from flashwasm.encoder.safetensors_file import read_weights
from flashwasm.encoder.texts import batches_by_length, checked_texts
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.keyword_hints import ENCODE, ENCODER, knows_peers, made_by
from flashwasm.optional_packages import optional_module
from flashwasm.progress_bar import progress_report
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.locks import renewed_after_fork
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.summaries import summary
from flashwasm.validation import choice, flag, positive_int

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["SentenceEncoder"]

Floats = npt.NDArray[np.float32]

DEFAULT_BATCH_TOKENS = 2048
DEFAULT_MAX_LENGTH = 256


class SentenceEncoder(NotCopied):
    """A sentence-transformers model of the BERT family that runs on the kernels.

    Use `SentenceEncoder.load` to create one. Several threads may use the same encoder; their calls
    run one after another.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    runtime : Runtime
        Runtime that holds the weights and runs the kernels.
    precision : {"float32", "int8"}, default "float32"
        Number format in which the dense layers multiply.

    Attributes
    ----------
    name : str
        Name of the folder, which for an installed model is also the model's name.
    folder : pathlib.Path
        The model's folder.
    dim : int
        Number of components of an embedding.
    precision : {"float32", "int8"}
        Number format in which the dense layers multiply.
    variant : str
        Variant of the kernels that runs the model, such as ``"relaxed"``.
    """

    @made_by("load")
    def __init__(self, folder: Path, runtime: Runtime, precision: Precision = "float32") -> None:
        self.precision = choice(precision, "precision", get_args(Precision))
        tokenizers = optional_module("tokenizers")
        self.folder = folder = Path(folder)
        config = BertConfig.read(folder / CONFIG)
        self.name = folder.name
        self.dim = config.hidden_size
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
        self._bert = Bert(config, read_weights(folder / WEIGHTS), runtime, precision)
        # One call at a time: each changes the tokenizer's truncation and the model's buffers.
        self._lock = renewed_after_fork(self, threading.Lock)

    def __repr__(self) -> str:
        return summary(
            self,
            repr(self.name),
            dim=self.dim,
            precision=self.precision,
            closed=self._runtime.closed,
        )

    @classmethod
    @knows_peers(ENCODER)
    def load(
        cls,
        model: str | Path | None = None,
        *,
        precision: Precision = "float32",
        runtime: Runtime | None = None,
    ) -> SentenceEncoder:
        """Load a model.

        Parameters
        ----------
        model : str or pathlib.Path, optional
            The name of an installed model, or the folder of any model of the BERT family that
            contains ``config.json``, ``model.safetensors`` and ``tokenizer.json``. None loads the
            default model, all-MiniLM-L6-v2.
        precision : {"float32", "int8"}, default "float32"
            Number format in which the dense layers multiply. "int8" rounds the weights to 8 bits
            when they are loaded, and each row of activations to 7 bits; attention and norms stay
            float32. It is faster, and changes the embeddings slightly.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.

        Returns
        -------
        SentenceEncoder
            An encoder whose weights lie in linear memory.

        Raises
        ------
        CapabilityError
            If the model or a required package is not installed, or if the kernels cannot run the
            model. The message says how to install what is missing.
        ShapeError, DTypeError, OutOfMemoryError, ClosedError

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> encoder.encode(["That is a happy person"]).shape  # doctest: +SKIP
        (1, 384)
        """
        return cls(locate(model), checked_runtime(runtime), precision)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights file, in hexadecimal."""
        return weights_digest(self.folder)

    @knows_peers(ENCODE)
    def encode(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> Floats:
        """Embed each text as one unit vector.

        Parameters
        ----------
        texts : iterable of str
            The texts. The bits of each embedding are independent of the other texts.
        batch_tokens : int, default 2048
            Maximum number of tokens in a batch. A text with more tokens is a batch of its own.
            Larger batches need more linear memory.
        max_length : int, default 256
            Maximum number of tokens of a text, including special tokens. Longer texts are truncated
            to this number, and to the model's number of positions.
        progress : bool or callable, default False
            True to show progress on stderr. A function is called after each batch, with the number
            of texts embedded so far and the total number.

        Returns
        -------
        numpy.ndarray
            Array ``(n, dim)`` of float32, one row of length 1 for each text.

        Raises
        ------
        DTypeError
            If `texts` is a single string, or contains something other than a string.
        ShapeError
            If `max_length` leaves no room for more than the special tokens, or if `batch_tokens` is
            not positive.

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> a, b, c = encoder.encode(["a cat", "a kitten", "a tax form"])  # doctest: +SKIP
        >>> bool(a @ b > a @ c)  # doctest: +SKIP
        True
        """
        vectors = self._run(
            texts, self._pool, batch_tokens=batch_tokens, max_length=max_length, progress=progress
        )
        return np.stack(vectors) if vectors else np.empty((0, self.dim), np.float32)

    @knows_peers(ENCODE)
    def encode_tokens(
        self,
        texts: Iterable[str],
        *,
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        max_length: int = DEFAULT_MAX_LENGTH,
        progress: bool | Callable[[int, int], None] = False,
    ) -> list[Floats]:
        """Return the hidden states of the last layer, one vector for each token.

        Parameters
        ----------
        texts, batch_tokens, max_length, progress
            As in `encode`.

        Returns
        -------
        list of numpy.ndarray
            For each text, an array ``(tokens, dim)`` of float32. It includes the special tokens,
            and the vectors are not normalised.

        Raises
        ------
        DTypeError, ShapeError
            For the same reasons as in `encode`.

        Examples
        --------
        >>> encoder = SentenceEncoder.load()  # doctest: +SKIP
        >>> [matrix.shape for matrix in encoder.encode_tokens(["a cat"])]  # doctest: +SKIP
        [(4, 384)]
        """

        def split(hidden: Floats, cu_seqlens: npt.NDArray[np.int32]) -> Iterable[Floats]:
            """Copy each text's rows, because the next batch overwrites them."""
            return [rows.copy() for rows in np.split(hidden, cu_seqlens[1:-1])]

        return self._run(
            texts, split, batch_tokens=batch_tokens, max_length=max_length, progress=progress
        )

    def _run(
        self,
        texts: Iterable[str],
        read: Callable[[Floats, npt.NDArray[np.int32]], Iterable[Floats]],
        *,
        batch_tokens: int,
        max_length: int,
        progress: bool | Callable[[int, int], None],
    ) -> list[Floats]:
        """Run the model on batches of texts, and return one result for each text, in their order.

        ``read`` is called for each batch with the hidden states and the positions at which the
        texts begin in them. It returns the results of the batch's texts.
        """
        checked = checked_texts(texts)
        self._check_sizes(batch_tokens, max_length)
        if not callable(progress):
            flag(progress, "progress")
        results: list[Floats] = [np.empty(0, np.float32)] * len(checked)
        bar = progress_report("embedding", show=progress is True)
        with self._lock, bar as advance:
            self._runtime.check_open()
            report = progress if callable(progress) else advance
            ids = self._token_ids(checked, max_length)
            done = 0
            for batch in batches_by_length([len(row) for row in ids], batch_tokens):
                packed = np.array([token for i in batch for token in ids[i]], np.int32)
                cu_seqlens = np.cumsum([0, *(len(ids[i]) for i in batch)], dtype=np.int32)
                hidden = self._bert.forward(packed, cu_seqlens)
                for i, result in zip(batch, read(hidden, cu_seqlens), strict=True):
                    results[i] = result
                done += len(batch)
                report(done, len(checked))
        return results

    def _pool(self, hidden: Floats, cu_seqlens: npt.NDArray[np.int32]) -> Floats:
        """Return one unit vector for each text, computed from the vectors of its tokens."""
        if self._pooling == "mean":
            pooled = ops.mean_pool(hidden, cu_seqlens, normalize=True, runtime=self._runtime)
            return np.array(pooled)
        first = hidden[cu_seqlens[:-1]]
        unit: Floats = first / np.linalg.norm(first, axis=1, keepdims=True)
        return unit

    def _token_ids(self, texts: list[str], max_length: int) -> list[list[int]]:
        """Return the token ids of each text."""
        # tokenizer.json may set truncation and padding, which were meant for other uses.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(max_length, self._max_positions))
        try:
            ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        except Exception as error:  # Nothing narrower: a vocabulary may lack a token.
            raise CapabilityError(
                f"{self.folder / TOKENIZER} cannot be used: {error!s:.200}"
            ) from error
        for i, row in enumerate(ids):
            if max(row, default=0) >= (words := self._bert.config.vocab_size):
                where = self.folder / TOKENIZER
                raise CapabilityError(f"{where} has token {max(row)}; the model has {words} tokens")
            if not row:
                raise ShapeError(f"texts[{i}] has no token: the tokenizer adds no special tokens")
        return ids

    def _check_sizes(self, batch_tokens: int, max_length: int) -> None:
        """Raise ShapeError for sizes that leave no room for a token."""
        positive_int(batch_tokens, "batch_tokens")
        shortest = self._tokenizer.num_special_tokens_to_add(is_pair=False) + 1
        if positive_int(max_length, "max_length") < shortest:
            raise ShapeError(f"max_length is {max_length}; {self.name} needs at least {shortest}")


def _read_tokenizer(tokenizers: Any, path: Path) -> Any:
    """Read tokenizer.json with the package tokenizers."""
    try:
        # The package cannot open a path that is not UTF-8, so it gets the contents.
        return tokenizers.Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # The package raises nothing narrower.
        raise CapabilityError(f"{path} cannot be read as a tokenizer: {error!s:.200}") from error
