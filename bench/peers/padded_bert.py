"""The encoder's model in other runtimes, on padded batches of texts of similar length."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.node_process import NodeProcess
from bench.peers.bert_onnx import bert_model
from bench.peers.onnx_runtime import session
from bench.peers.openvino import request
from bench.peers.peer import Contender, installed_module
from flashwasm.benchmarks.timing import timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.peers.checkpoint import Checkpoint
    from flashwasm.benchmarks.case import Array

    # A function that takes ids and mask of a batch, and returns its hidden states.
    Model = Callable[[Array, Array], Array]

BATCH_TOKENS = 2048
# ONNX's TensorProto.FLOAT.
_FLOAT = 1


def padded_batches(ids: list[list[int]]) -> list[tuple[list[int], Array, Array]]:
    """Return batches of texts, the longest first: positions, padded ids and mask of each.

    Parameters
    ----------
    ids : list of list of int
        Token ids of each text.
    """
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    batches = []
    while order:
        longest = len(ids[order[0]])
        batch = order[: max(1, BATCH_TOKENS // longest)]
        order = order[len(batch) :]
        padded = np.zeros((len(batch), longest), np.int32)
        mask = np.zeros_like(padded)
        for row, i in enumerate(batch):
            padded[row, : len(ids[i])] = ids[i]
            mask[row, : len(ids[i])] = 1
        batches.append((batch, padded, mask))
    return batches


class PaddedBert:
    """A checkpoint in another runtime; the mean of a text's tokens is its vector.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and tokenizer.
    model : callable
        Function that takes ids and mask of a batch, and returns its hidden states.
    """

    def __init__(self, checkpoint: Checkpoint, model: Model) -> None:
        self._checkpoint = checkpoint
        self._model = model

    def encode(self, texts: list[str]) -> Array:
        """Return a unit vector for each text.

        Parameters
        ----------
        texts : list of str
            The texts.
        """
        ids = self._checkpoint.ids(texts)
        result = np.empty((len(ids), self._checkpoint.config.hidden_size), np.float32)
        for batch, padded, mask in padded_batches(ids):
            hidden = self._model(padded, mask)
            sums = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
            result[batch] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return result


def onnx_float32(checkpoint: Checkpoint, threads: int) -> Model:
    """Return ONNX Runtime's model of fused operators in float32."""
    return _of_session(session(bert_model(checkpoint.config, checkpoint.weights), threads))


def onnx_int8(checkpoint: Checkpoint, threads: int) -> Model:
    """Return ONNX Runtime's model after its own dynamic quantization of the dense layers."""
    quantization: Any = installed_module("onnxruntime.quantization")
    onnx: Any = installed_module("onnx")
    model = onnx.load_from_string(bert_model(checkpoint.config, checkpoint.weights))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        quantization.quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            # ONNX Runtime does not infer types through the fused operators.
            extra_options={"DefaultTensorType": _FLOAT},
        )
        return _of_session(session(path.read_bytes(), threads))


def openvino_int8(checkpoint: Checkpoint, threads: int) -> Model:
    """Return OpenVINO's model with codes for weights; it quantizes activations by their rows."""
    model = bert_model(checkpoint.config, checkpoint.weights, codes=True)
    ready = request(model, threads)

    def run(ids: Array, mask: Array) -> Array:
        found: Array = next(iter(ready.infer({"ids": ids, "mask": mask}).values()))
        return found

    return run


def _of_session(ready: Any) -> Model:
    """Return a session of ONNX Runtime as a function."""

    def run(ids: Array, mask: Array) -> Array:
        found: Array = ready.run(None, {"ids": ids, "mask": mask})[0]
        return found

    return run


def in_node(checkpoint: Checkpoint, texts: list[str]) -> Contender:
    """Return onnxruntime-web as a contender, with the tokens of the texts as its input.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and tokenizer.
    texts : list of str
        The texts.
    """
    batches = padded_batches(checkpoint.ids(texts))
    process = NodeProcess("onnxruntime-web-encoder")
    try:
        inputs = [
            process.write(f"input{i}-{part}", x)
            for i, (_, *both) in enumerate(batches)
            for part, x in enumerate(both)
        ]
        path = process.path("model.onnx")
        path.write_bytes(bert_model(checkpoint.config, checkpoint.weights))
        process.ask(do="prepare", operation="encoder", inputs=inputs, model=str(path))
    except BaseException:
        process.close()
        raise
    order = [i for batch, *_ in batches for i in batch]

    def result() -> Array:
        rows = process.result()[0].reshape(len(texts), -1)
        return rows[np.argsort(order)]

    def seconds(loops: int) -> float:
        return float(process.ask(do="time", loops=loops)["seconds"])

    return Contender(result, seconds, process.close, "fused operators, given tokens")


def contender(checkpoint: Checkpoint, model: Model, texts: list[str], note: str) -> Contender:
    """Return a model in this process as a contender.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and tokenizer.
    model : callable
        The model.
    texts : list of str
        Texts to encode.
    note : str
        A few words on the form of the model.
    """
    bert = PaddedBert(checkpoint, model)
    return Contender(lambda: bert.encode(texts), timer(lambda: bert.encode(texts)), note=note)
