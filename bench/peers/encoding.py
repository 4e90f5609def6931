"""The encoder on texts of mixed length, compared with ONNX Runtime on the same weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.bert_onnx import bert_float64, bert_model
from bench.peers.onnx_runtime import OnnxRuntime, session
from bench.peers.peer import Contender
from bench.peers.runner import OURS, Measurement, timed
from flashwasm.benchmarks.expectation import WrongResultError
from flashwasm.benchmarks.timing import Effort, timer
from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder.model_config import BertConfig
from flashwasm.encoder.model_files import CONFIG, TOKENIZER, WEIGHTS
from flashwasm.encoder.safetensors_file import read_weights
from flashwasm.optional_packages import optional_module
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

TEXTS = 256
_LONGEST = 200
_MAX_LENGTH = 256
_BATCH_TOKENS = 2048
_CHECKED = 8
# Six layers in float32 give unit vectors, whose components are about 0.05.
_TOLERANCE = 2e-5
_EFFORT = Effort(seconds=10.0, least_rounds=3, most_rounds=20)
_WORDS = (
    "test the graph node edge remove add weight path value returns error when given empty list "
    "number of items after closing file with wrong name twice and checks nothing lost"
)


def mixed_texts(count: int = TEXTS) -> list[str]:
    """Return texts of three to two hundred words, of which most are short; always the same.

    Parameters
    ----------
    count : int
        Number of texts.
    """
    rng = np.random.default_rng(0)
    words = _WORDS.split()
    lengths = np.exp(rng.uniform(np.log(3), np.log(_LONGEST), count)).astype(int)
    return [" ".join(rng.choice(words, length)) for length in lengths]


class Checkpoint:
    """Weights and tokenizer of a model, for both contenders and the oracle.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the model.
    """

    def __init__(self, folder: Path) -> None:
        self.config = BertConfig.read(folder / CONFIG)
        self.weights = read_weights(folder / WEIGHTS)
        tokenizers = optional_module("tokenizers")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(_MAX_LENGTH, self.config.max_position_embeddings))

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text.

        Parameters
        ----------
        texts : list of str
            The texts.
        """
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def expected(self, texts: list[str]) -> Array:
        """Return a unit vector for each text, computed in float64.

        Parameters
        ----------
        texts : list of str
            The texts.
        """
        rows = [bert_float64(self.config, self.weights, ids).mean(0) for ids in self.ids(texts)]
        return np.stack([row / np.linalg.norm(row) for row in rows])


class PaddedBert:
    """ONNX Runtime on a checkpoint.

    Texts of similar length make a batch and are padded; the mean of a text's tokens is its vector.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and tokenizer.
    threads : int
        Threads of the runtime.
    """

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        self._checkpoint = checkpoint
        model = bert_model(checkpoint.config, checkpoint.weights)
        self._session = session(model, threads)

    def encode(self, texts: list[str]) -> Array:
        """Return a unit vector for each text.

        Parameters
        ----------
        texts : list of str
            The texts.
        """
        ids = self._checkpoint.ids(texts)
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        result = np.empty((len(ids), self._checkpoint.config.hidden_size), np.float32)
        while order:
            longest = len(ids[order[0]])
            batch = order[: max(1, _BATCH_TOKENS // longest)]
            order = order[len(batch) :]
            padded = np.zeros((len(batch), longest), np.int32)
            mask = np.zeros_like(padded)
            for row, i in enumerate(batch):
                padded[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            hidden = self._session.run(None, {"ids": padded, "mask": mask})[0]
            sums = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
            result[batch] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return result


def run_encoder(peers: list[str], threads: int, effort: Effort = _EFFORT) -> Measurement:
    """Measure the installed model.

    Parameters
    ----------
    peers : list of str
        Names of the peers that are installed.
    threads : int
        Threads of each contender.
    effort : Effort
        Limits of how long to measure.

    Raises
    ------
    CapabilityError
        If no model is installed, or a package that it needs is missing.
    WrongResultError
        If the encoder's result differs from the oracle's.
    """
    texts = mixed_texts()
    with Runtime(threads) as runtime:
        encoder = SentenceEncoder.load(runtime=runtime)
        checkpoint = Checkpoint(encoder.folder)
        expected = checkpoint.expected(texts[:_CHECKED])
        ours = partial(encoder.encode, texts, max_length=_MAX_LENGTH, batch_tokens=_BATCH_TOKENS)
        contenders = {OURS: Contender(ours, timer(ours))}
        if OnnxRuntime.name in peers:
            theirs = partial(PaddedBert(checkpoint, threads).encode, texts)
            note = "fused operators of a BERT, padded batches"
            contenders[OnnxRuntime.name] = Contender(theirs, timer(theirs), note=note)
        errors = {
            name: float(np.abs(contender.result()[:_CHECKED] - expected).max())
            for name, contender in contenders.items()
        }
        if not errors[OURS] <= _TOLERANCE:
            raise WrongResultError(f"encoder: error {errors[OURS]:g}, allowed {_TOLERANCE:g}")
        failures = {
            name: f"wrong: error {error:.1e}, not timed"
            for name, error in errors.items()
            if not error <= _TOLERANCE
        }
        right = {name: c for name, c in contenders.items() if name not in failures}
        # `timed` divides rates by 1e9, because most count floating-point operations.
        subject = ("encoder", f"{TEXTS} texts", "texts/s")
        return timed(subject, TEXTS * 1e9, right, errors, failures, effort)
