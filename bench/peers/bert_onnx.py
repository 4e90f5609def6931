"""A BERT checkpoint as an ONNX model of ONNX Runtime's fused operators, and as float64 NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from math import erf
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.onnx_models import codes_of
from bench.peers.peer import installed_module

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.encoder.model_config import BertConfig

    Array = NDArray[Any]
    Weights = Mapping[str, Array]

_FUSED = {"domain": "com.microsoft"}
# ONNX's TensorProto.FLOAT and TensorProto.INT32.
_FLOAT, _INT = 1, 6


def _without_prefix(weights: Weights) -> dict[str, Array]:
    """Return weights whose names have no "bert." before them."""
    return {name.removeprefix("bert."): x for name, x in weights.items()}


class _Graph:
    """Nodes and constants of an ONNX graph under construction.

    Parameters
    ----------
    config : BertConfig
        Sizes of the model.
    weights : dict of str to numpy.ndarray
        Weights by their names, without "bert." before them.
    codes : bool
        True stores the matrices of dense layers as 8-bit codes.
    """

    def __init__(self, config: BertConfig, weights: dict[str, Array], *, codes: bool) -> None:
        self._helper: Any = installed_module("onnx.helper")
        self._weights = weights
        self._codes = codes
        self.epsilon = {"epsilon": config.layer_norm_eps}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Any] = []

    def put(self, name: str, x: Array) -> str:
        """Add a constant, and return its name."""
        self.constants[name] = np.ascontiguousarray(x)
        return name

    def put_matrix(self, name: str, x: Array) -> str:
        """Add the matrix of a dense layer, and return its name."""
        if not self._codes:
            return self.put(name, x)
        codes, scales = codes_of(x)
        inputs = [self.put(f"{name}.codes", codes), self.put(f"{name}.scales", scales)]
        return self.add("DequantizeLinear", inputs, name, axis=1)

    def norm(self, name: str) -> list[str]:
        """Add the weight and the bias of a layer norm, and return their names."""
        names = [f"{name}.{part}" for part in ("weight", "bias")]
        return [self.put(one, self._weights[one]) for one in names]

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its first output."""
        self.nodes.append(self._helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    def dense(self, name: str, source: str, residual: str) -> str:
        """Add a dense layer of ``source``, the addition of a residual, and a layer norm."""
        matrix = self.put_matrix(f"{name}.matrix", self._weights[f"{name}.dense.weight"].T)
        product = self.add("MatMul", [source, matrix], f"{name}.product")
        shift = self.put(f"{name}.shift", self._weights[f"{name}.dense.bias"])
        inputs = [product, residual, *self.norm(f"{name}.LayerNorm"), shift]
        operator = "SkipLayerNormalization"
        return self.add(operator, inputs, f"{name}.out", **self.epsilon, **_FUSED)


def bert_model(config: BertConfig, weights: Weights, *, codes: bool = False) -> bytes:
    """Return an ONNX model that computes hidden states from token ids.

    ONNX Runtime has an optimizer that replaces the operators of a BERT by fused ones. The model
    consists of these fused operators, the runtime's fastest form. Its inputs are int32: ``ids``
    (batch, tokens), padded on the right, and ``mask`` (batch, tokens), 1 for each real token.

    Parameters
    ----------
    config : BertConfig
        Sizes of the model.
    weights : mapping of str to numpy.ndarray
        Weights by their names in the checkpoint.
    codes : bool, default False
        True stores the matrices of dense layers as 8-bit codes with a scale for each column.
    """
    w = _without_prefix(weights)
    graph = _Graph(config, w, codes=codes)
    types = w["embeddings.token_type_embeddings.weight"]
    words = graph.put("words", w["embeddings.word_embeddings.weight"])
    # All tokens have type 0, so that its row can be added to every position in advance.
    places = graph.put("places", w["embeddings.position_embeddings.weight"] + types[0])
    tables = ["ids", "", words, places, "", *graph.norm("embeddings.LayerNorm"), "mask"]
    fused = {**graph.epsilon, **_FUSED}
    x = graph.add("EmbedLayerNormalization", tables, "x", "mask_index", **fused)
    gelu = "BiasGelu" if config.approximate == "none" else "FastGelu"
    heads = {"num_heads": config.num_attention_heads}
    for i in range(config.num_hidden_layers):
        at = f"encoder.layer.{i}"
        names = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        joined = graph.put_matrix(f"qkv{i}", np.concatenate([w[f"{n}.weight"] for n in names]).T)
        bias = graph.put(f"qkv_bias{i}", np.concatenate([w[f"{n}.bias"] for n in names]))
        inputs = [x, joined, bias, "mask"]
        context = graph.add("Attention", inputs, f"context{i}", **heads, **_FUSED)
        x = graph.dense(f"{at}.attention.output", context, x)
        inner = graph.put_matrix(f"inner{i}", w[f"{at}.intermediate.dense.weight"].T)
        shift = graph.put(f"inner_bias{i}", w[f"{at}.intermediate.dense.bias"])
        wide = graph.add("MatMul", [x, inner], f"wide{i}")
        x = graph.dense(f"{at}.output", graph.add(gelu, [wide, shift], f"active{i}", **_FUSED), x)
    return _serialized(graph, x, config.hidden_size)


def _serialized(graph: _Graph, output: str, size: int) -> bytes:
    """Return the content of the model's file."""
    helper: Any = installed_module("onnx.helper")
    numpy_helper: Any = installed_module("onnx.numpy_helper")
    shape = ["batch", "tokens"]
    made = helper.make_graph(
        graph.nodes,
        "bert",
        [helper.make_tensor_value_info(name, _INT, shape) for name in ("ids", "mask")],
        [helper.make_tensor_value_info(output, _FLOAT, [*shape, size])],
        [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def bert_float64(config: BertConfig, weights: Weights, ids: list[int]) -> Array:
    """Return the hidden states of one text, shape (tokens, hidden), computed in float64.

    Parameters
    ----------
    config : BertConfig
        Sizes of the model.
    weights : mapping of str to numpy.ndarray
        Weights by their names in the checkpoint.
    ids : list of int
        Token ids of the text.
    """
    w = {name: x.astype(np.float64) for name, x in _without_prefix(weights).items()}

    def norm(x: Array, name: str) -> Array:
        """Return a layer norm."""
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + config.layer_norm_eps)
        result: Array = centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]
        return result

    def dense(x: Array, name: str) -> Array:
        """Return a dense layer."""
        result: Array = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
        return result

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + erf(x / 2**0.5)))
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    for at in (f"encoder.layer.{i}" for i in range(config.num_hidden_layers)):
        q, k, v = (
            dense(x, f"{at}.attention.self.{part}").reshape(-1, heads, size).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = np.exp(q @ k.swapaxes(1, 2) / size**0.5)
        context = (scores / scores.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(x.shape)
        added = x + dense(context, f"{at}.attention.output.dense")
        x = norm(added, f"{at}.attention.output.LayerNorm")
        inner = gelu(dense(x, f"{at}.intermediate.dense"))
        x = norm(x + dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x
