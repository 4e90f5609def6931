"""ONNX's node tests: the cases of operations that ONNX also defines, and their comparison."""

import importlib

import numpy as np
from onnx.backend.test.case import node as onnx_node

import onnx_adapter

COUNTS = {
    "Attention": 93,
    "Gather": 4,
    "Gelu": 4,
    "LayerNormalization": 19,
    "MatMul": 7,
    "RMSNormalization": 19,
    "RotaryEmbedding": 8,
    "Softmax": 7,
}

# If the data have a narrow type, ONNX's reference rounds to it five times: the scaled queries, the
# scaled keys, the scores, the weights and the output.
UNIT_ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
ROUNDINGS = 5


def collect():
    """Return the cases of one node; the others have the same data and express it by more nodes.

    Importing a module of cases registers them. ONNX's own loader imports all of its modules, which
    takes seconds.
    """
    for op_type in COUNTS:
        importlib.import_module(f"{onnx_node.__name__}.{op_type.lower()}")
    registered = onnx_node._NodeTestCases  # noqa: SLF001 - ONNX has no public list; its release is pinned.
    cases = [case for case in registered if len(case.model.graph.node) == 1]
    return [case for case in cases if case.model.graph.node[0].op_type in COUNTS]


def compare(operations, case):
    """Compare the operations' outputs within the case's tolerance; return the other names."""
    graph, (inputs, outputs) = case.model.graph, case.data_sets[0]
    inputs = dict(zip([value.name for value in graph.input], inputs, strict=True))
    outputs = dict(zip([value.name for value in graph.output], outputs, strict=True))
    given = onnx_adapter.run(operations, graph.node[0], inputs)
    for name in outputs.keys() & given.keys():
        expected, actual = outputs[name].astype(np.float64), np.asarray(given[name], np.float64)
        assert actual.shape == expected.shape, name
        np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected), name)
        unit = UNIT_ROUNDOFF.get(outputs[name].dtype.name, 0.0)
        narrow = ROUNDINGS * unit * np.abs(expected[np.isfinite(expected)]).max(initial=0)
        np.testing.assert_allclose(
            actual, expected, case.rtol, max(case.atol, narrow), err_msg=name
        )
    return outputs.keys() - given.keys()
