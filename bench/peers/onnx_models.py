"""ONNX models of single cases, for ONNX Runtime and its WebAssembly build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.peer import installed_module

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array, Case, Inputs

# Opset 23 is the first that has the operator Attention. Version 11 is the file format for it.
_OPSET = 23
_IR_VERSION = 11

# The node of each operation: its operator, the order of the case's inputs, and its attributes.
_SINGLE: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "matmul": ("MatMul", (0, 1), {}),
    "vecadd": ("Add", (0, 1), {}),
    "softmax": ("Softmax", (0,), {"axis": -1}),
    "layer_norm": ("LayerNormalization", (0, 1, 2), {"axis": -1, "epsilon": 1e-5}),
    "embedding": ("Gather", (1, 0), {"axis": 0}),
}


def input_names(inputs: Inputs) -> list[str]:
    """Return the names of a case's inputs in its models."""
    return [f"x{i}" for i in range(len(inputs))]


def fed(case: Case, inputs: Inputs) -> Inputs:
    """Return the arrays that a case's models get in each call.

    For attention, the arrays get a batch axis. For matmul_i8, the matrix of codes is part of the
    models and not among the arrays.

    Parameters
    ----------
    case : Case
        The case.
    inputs : tuple of numpy.ndarray
        Its inputs.
    """
    if case.operation == "attention":
        return tuple(x[None] for x in inputs)
    return inputs[:1] if case.operation == "matmul_i8" else inputs


def models(case: Case, inputs: Inputs) -> list[tuple[str, bytes]]:
    """Return the forms of a case, the fastest first: a few words on each, and its model.

    The first form of attention is the operator of that name. The second one is a product, a softmax
    and a product, for a runtime that cannot run the first. The inputs are the arrays of `fed`.

    Parameters
    ----------
    case : Case
        The case.
    inputs : tuple of numpy.ndarray
        Its inputs, whose shapes the models have.
    """
    helper = installed_module("onnx.helper")
    if case.operation == "matmul_i8":
        return [("DynamicQuantizeLinear, MatMulInteger", _dynamic_product(helper, inputs))]
    names = input_names(inputs)
    if case.operation != "attention":
        operator, order, attributes = _SINGLE[case.operation]
        node = helper.make_node(operator, [names[i] for i in order], ["y"], **attributes)
        return [(operator, _model(helper, [node], inputs, {}))]
    causal = int(case.options["causal"])
    batch = fed(case, inputs)
    fused = [helper.make_node("Attention", names, ["y"], is_causal=causal)]
    return [
        ("Attention", _model(helper, fused, batch, {})),
        ("MatMul, Softmax, MatMul", _decomposed(helper, names, batch, causal=bool(causal))),
    ]


def nearest_model(vectors: Array) -> bytes:
    """Return a model that computes the nearest ids from queries ``x0`` and a number ``k``.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        Vectors to search.
    """
    helper = installed_module("onnx.helper")
    nodes = [
        helper.make_node("MatMul", ["x0", "columns"], ["scores"]),
        helper.make_node("TopK", ["scores", "k"], ["values", "ids"], axis=-1),
    ]
    columns = np.ascontiguousarray(vectors.T)
    x0 = helper.make_tensor_value_info("x0", 1, ["queries", len(columns)])
    k = helper.make_tensor_value_info("k", 7, [1])
    output = helper.make_tensor_value_info("ids", 7, None)
    return _serialized(helper, nodes, [x0, k], output, {"columns": columns})


def codes_of(matrix: Array) -> tuple[Array, Array]:
    """Return symmetric 8-bit codes of a matrix, and the scale of each column.

    Parameters
    ----------
    matrix : numpy.ndarray of float32, shape (k, n)
        The matrix.
    """
    scales = (np.abs(matrix).max(axis=0) / 127).astype(np.float32)
    return np.rint(matrix / np.where(scales == 0, 1, scales)).astype(np.int8), scales


def _dynamic_product(helper: Any, inputs: Inputs) -> bytes:
    """Return a model that quantizes its input by the range of each call, and uses codes."""
    codes, scales = codes_of(inputs[1])
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x0"], ["a", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["a", "codes", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=1),
        helper.make_node("Mul", ["scale", "scales"], ["both"]),
        helper.make_node("Mul", ["floats", "both"], ["y"]),
    ]
    return _model(helper, nodes, inputs[:1], {"codes": codes, "scales": scales})


def static_product(inputs: Inputs) -> bytes:
    """Return a model of a product of 8-bit codes, whose input is quantized by its known range.

    Calibrated models have this form: QuantizeLinear and DequantizeLinear around a product of
    floats.

    Parameters
    ----------
    inputs : tuple of numpy.ndarray
        The two matrices.
    """
    helper = installed_module("onnx.helper")
    codes, scales = codes_of(inputs[1])
    low, high = min(inputs[0].min(), 0.0), max(inputs[0].max(), 0.0)
    scale = np.float32((high - low) / 255)
    constants = {"codes": codes, "scales": scales, "scale": scale}
    constants["zero"] = np.uint8(np.rint(-low / scale))
    nodes = [
        helper.make_node("QuantizeLinear", ["x0", "scale", "zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["codes", "scales"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rounded", "matrix"], ["y"]),
    ]
    return _model(helper, nodes, inputs[:1], constants)


def _decomposed(helper: Any, names: list[str], inputs: Inputs, *, causal: bool) -> bytes:
    """Return attention as a model of a product, a softmax and a product."""
    q, k, v = names
    length, dim = inputs[0].shape[-2:]
    constants: dict[str, Any] = {"scale": np.float32(dim**-0.5)}
    nodes = [
        helper.make_node("Mul", [q, "scale"], ["scaled"]),
        helper.make_node("Transpose", [k], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["scaled", "turned"], ["raw"]),
    ]
    if causal:
        hidden = np.triu(np.full((length, length), -1e9, np.float32), 1)
        constants["hidden"] = hidden
        nodes.append(helper.make_node("Add", ["raw", "hidden"], ["scores"]))
    nodes += [
        helper.make_node("Softmax", ["scores" if causal else "raw"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", v], ["y"]),
    ]
    return _model(helper, nodes, inputs, constants)


def _model(helper: Any, nodes: list[Any], inputs: Inputs, constants: dict[str, Any]) -> bytes:
    """Return a model of some nodes from the inputs of a case to ``y``."""
    # ONNX's TensorProto.FLOAT and TensorProto.INT32.
    kinds = {np.dtype(np.float32): 1, np.dtype(np.int32): 6}
    values = [
        helper.make_tensor_value_info(name, kinds[x.dtype], x.shape)
        for name, x in zip(input_names(inputs), inputs, strict=True)
    ]
    output = helper.make_tensor_value_info("y", 1, None)
    return _serialized(helper, nodes, values, output, constants)


def _serialized(
    helper: Any, nodes: list[Any], values: list[Any], output: Any, constants: dict[str, Any]
) -> bytes:
    """Return the content of a model's file."""
    numpy_helper = installed_module("onnx.numpy_helper")
    fixed = [numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()]
    graph = helper.make_graph(nodes, "case", values, [output], fixed)
    opset = [helper.make_opsetid("", _OPSET)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    content: bytes = made.SerializeToString()
    return content
