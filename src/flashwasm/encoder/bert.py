"""BERT on the kernels: from token ids to hidden states, with the weights in linear memory.

This is the encoder of Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding" (2019), section 3, which normalises after each sublayer. The sequences of a
batch are packed back to back, one row per token, so there are no padding tokens and no mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from flashwasm import ops
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.flash_attention.varlen import attention_varlen

if TYPE_CHECKING:
    from flashwasm.encoder.model_config import BertConfig
    from flashwasm.runtime.runtime import Runtime

__all__ = ["Bert", "Precision"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Precision: TypeAlias = Literal["float32", "int8"]


@dataclass(frozen=True)
class Norm:
    """Weight and bias of a layer norm."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Dense:
    """Weight ``(in, out)`` and bias ``(out,)`` of a dense layer."""

    weight: Floats | ops.Int8Matrix
    bias: Floats


@dataclass(frozen=True)
class Layer:
    """Weights of one layer, where query, key and value are one ``(hidden, 3 * hidden)`` matrix."""

    query_key_value: Dense
    attention_output: Dense
    attention_norm: Norm
    intermediate: Dense
    output: Dense
    output_norm: Norm


@dataclass(frozen=True)
class Buffers:
    """Resident arrays that a forward pass writes to, reused for the next batch.

    Each has one row per token, and may have more rows than a batch has tokens.
    """

    hidden: Floats
    residual: Floats
    query_key_value: Floats
    context: Floats
    intermediate: Floats


class Bert:
    """A BERT encoder whose weights are resident arrays.

    Parameters
    ----------
    config : BertConfig
        Sizes and options of the model.
    tensors : mapping of str to numpy.ndarray
        The weights by name, float32. The names may have the prefix ``bert.``.
    runtime : Runtime
        Runtime that holds the weights and runs the kernels.
    precision : {"float32", "int8"}, default "float32"
        Number format in which the dense layers multiply. Everything else is float32.

    Raises
    ------
    CapabilityError
        If a tensor is missing, or if its shape differs from the configuration.
    """

    def __init__(
        self,
        config: BertConfig,
        tensors: Mapping[str, npt.NDArray[Any]],
        runtime: Runtime,
        precision: Precision = "float32",
    ) -> None:
        self.config = config
        self._runtime = runtime
        self._buffers: Buffers | None = None
        self._load(_Tensors(tensors), precision)

    def forward(self, ids: Integers, cu_seqlens: Integers) -> Floats:
        """Return the hidden states of the last layer.

        Parameters
        ----------
        ids : numpy.ndarray of int32, shape (T,)
            Token ids of all sequences, back to back.
        cu_seqlens : numpy.ndarray of int32, shape (n + 1,)
            Position in `ids` at which each of the n sequences begins, and T at the end.

        Returns
        -------
        numpy.ndarray
            Resident array ``(T, hidden)`` of float32. The next call overwrites it.

        Raises
        ------
        ShapeError
            If a sequence has more tokens than the model has positions.
        """
        lengths = np.diff(cu_seqlens)
        if lengths.max() > self.config.max_position_embeddings:
            raise ShapeError(
                f"a sequence has {lengths.max()} tokens; the model has "
                f"{self.config.max_position_embeddings} positions"
            )
        tokens, runtime = len(ids), self._runtime
        buffers = self._buffers_for(tokens)
        hidden, residual = buffers.hidden[:tokens], buffers.residual[:tokens]
        positions = np.arange(tokens, dtype=np.int32) - np.repeat(cu_seqlens[:-1], lengths)

        ops.embedding(ids, self._words, out=hidden, runtime=runtime)
        ops.embedding(positions.astype(np.int32), self._positions, out=residual, runtime=runtime)
        self._add_and_normalize(hidden, residual, self._embedding_norm)
        for layer in self._layers:
            self._attend(layer, hidden, residual, buffers, cu_seqlens)
            self._add_and_normalize(hidden, residual, layer.attention_norm)
            intermediate = buffers.intermediate[:tokens]
            self._dense(hidden, layer.intermediate, intermediate, gelu=True)
            self._dense(intermediate, layer.output, residual)
            self._add_and_normalize(hidden, residual, layer.output_norm)
        return hidden

    def _attend(
        self, layer: Layer, hidden: Floats, out: Floats, buffers: Buffers, cu_seqlens: Integers
    ) -> None:
        """Attend within each sequence, and write the result of the output layer to ``out``."""
        tokens, width = hidden.shape
        heads = self.config.num_attention_heads
        fused = buffers.query_key_value[:tokens]
        self._dense(hidden, layer.query_key_value, fused)
        split = fused.reshape(tokens, 3, heads, width // heads)
        query, key, value = split[:, 0], split[:, 1], split[:, 2]
        context = buffers.context[:tokens]
        attention_varlen(
            query, key, value, cu_seqlens, out=context.reshape(query.shape), runtime=self._runtime
        )
        self._dense(context, layer.attention_output, out)

    def _dense(self, x: Floats, layer: Dense, out: Floats, *, gelu: bool = False) -> None:
        """Write x W + b to ``out``, or GELU of that."""
        weight, approximate = layer.weight, self.config.approximate
        if isinstance(weight, ops.Int8Matrix):
            kind: Literal["none", "gelu", "gelu_tanh"] = "none"
            if gelu:
                kind = "gelu" if approximate == "none" else "gelu_tanh"
            ops.matmul_i8(x, weight, bias=layer.bias, activation=kind, out=out)
            return
        ops.matmul(x, weight, bias=layer.bias, out=out, runtime=self._runtime)
        if gelu:
            ops.gelu(out, approximate, out=out, runtime=self._runtime)

    def _add_and_normalize(self, hidden: Floats, residual: Floats, norm: Norm) -> None:
        """Replace ``hidden`` by the layer norm of ``hidden + residual``."""
        ops.vecadd(hidden, residual, out=hidden, runtime=self._runtime)
        ops.layer_norm(
            hidden,
            norm.weight,
            norm.bias,
            self.config.layer_norm_eps,
            out=hidden,
            runtime=self._runtime,
        )

    def _buffers_for(self, tokens: int) -> Buffers:
        """Return buffers with at least ``tokens`` rows."""
        if self._buffers is None or len(self._buffers.hidden) < tokens:
            # Release the old buffers first, so that the new ones can use their memory.
            self._buffers = None
            width, empty = self.config.hidden_size, self._runtime.empty
            self._buffers = Buffers(
                hidden=empty((tokens, width)),
                residual=empty((tokens, width)),
                query_key_value=empty((tokens, 3 * width)),
                context=empty((tokens, width)),
                intermediate=empty((tokens, self.config.intermediate_size)),
            )
        return self._buffers

    def _load(self, tensors: _Tensors, precision: Precision) -> None:
        """Copy the weights into linear memory."""
        config, resident = self.config, self._runtime.asarray
        width, inner = config.hidden_size, config.intermediate_size

        def normalization(name: str) -> Norm:
            """Load a layer norm."""
            weight, bias = (tensors.take(f"{name}.{part}", width) for part in ("weight", "bias"))
            return Norm(resident(weight), resident(bias))

        def dense(inputs: int, outputs: int, *names: str) -> Dense:
            """Load dense layers with a common input as one; the checkpoint stores ``(out, in)``."""
            matrix = np.concatenate([tensors.take(f"{n}.weight", outputs, inputs) for n in names])
            bias = np.concatenate([tensors.take(f"{n}.bias", outputs) for n in names])
            if precision == "int8":
                return Dense(ops.Int8Matrix(matrix.T, runtime=self._runtime), resident(bias))
            # The kernel multiplies a transposed view without a copy.
            return Dense(resident(matrix).T, resident(bias))

        def table(name: str, rows: int) -> Floats:
            """Return an embedding table, still outside linear memory."""
            return tensors.take(f"embeddings.{name}.weight", rows, width)

        self._words = resident(table("word_embeddings", config.vocab_size))
        # Every token here is of type 0, so that type's row is added to all positions once, in
        # advance.
        types = table("token_type_embeddings", config.type_vocab_size)
        positions = table("position_embeddings", config.max_position_embeddings)
        self._positions = resident(positions + types[0])
        self._embedding_norm = normalization("embeddings.LayerNorm")
        self._layers = [
            Layer(
                query_key_value=dense(
                    width, width, *(f"{at}.attention.self.{x}" for x in ("query", "key", "value"))
                ),
                attention_output=dense(width, width, f"{at}.attention.output.dense"),
                attention_norm=normalization(f"{at}.attention.output.LayerNorm"),
                intermediate=dense(width, inner, f"{at}.intermediate.dense"),
                output=dense(inner, width, f"{at}.output.dense"),
                output_norm=normalization(f"{at}.output.LayerNorm"),
            )
            for at in (f"encoder.layer.{i}" for i in range(config.num_hidden_layers))
        ]


class _Tensors:
    """The tensors of a checkpoint: finds them with or without a prefix, and checks their shapes."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self._tensors = tensors
        self._prefix = "" if "embeddings.word_embeddings.weight" in tensors else "bert."

    def take(self, name: str, *shape: int) -> Floats:
        """Return a tensor by its name without prefix; raise an error if its shape is wrong."""
        full_name = self._prefix + name
        if full_name not in self._tensors:
            # The first checkpoints of BERT call a layer norm's weight gamma, and its bias beta.
            full_name = full_name.replace("LayerNorm.weight", "LayerNorm.gamma")
            full_name = full_name.replace("LayerNorm.bias", "LayerNorm.beta")
        tensor = self._tensors.get(full_name)
        if tensor is None:
            raise CapabilityError(
                f"the weights lack tensor {name!r} (with or without the prefix 'bert.'): "
                "not a BERT checkpoint"
            )
        if tensor.shape != shape:
            raise CapabilityError(
                f"tensor {name!r} has shape {tensor.shape}; config.json makes it {shape}"
            )
        return tensor
