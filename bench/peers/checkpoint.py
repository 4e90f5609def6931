"""The weights and the tokenizer of an installed model, and its result in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.bert_onnx import bert_float64
from flashwasm.encoder.model_config import BertConfig
from flashwasm.encoder.model_files import CONFIG, TOKENIZER, WEIGHTS
from flashwasm.encoder.safetensors_file import read_weights
from flashwasm.optional_packages import optional_module

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_LENGTH = 256


class Checkpoint:
    """Weights and tokenizer of a model, for all contenders and the oracle.

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
        self._tokenizer.enable_truncation(min(MAX_LENGTH, self.config.max_position_embeddings))

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
