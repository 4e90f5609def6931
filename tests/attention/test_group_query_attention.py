"""Attention compared with ONNX Runtime's GroupQueryAttention, the operator of exported decoders.

The operator has other names for the arguments of `attention`. query, key and value have shape
(batch, length, heads * dim), past and present keys (batch, heads, length, dim). New keys follow the
past ones, and each query sees the keys up to its own, as with causal="bottom_right". A
local_window_size of n means the key at the diagonal and n - 1 before it. head_sink is sinks,
attention_bias is an additive mask, and seqlens_k is the number of keys minus one. scale and softcap
are the same.
"""

import functools

import numpy as np
import pytest
from onnx import TensorProto, helper

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import normal

# Its wheels need a newer Python than this package, so it may not be installed.
onnxruntime = pytest.importorskip("onnxruntime")

HEADS = 6
INPUTS = (
    "query",
    "key",
    "value",
    "past_key",
    "past_value",
    "seqlens_k",
    "total_sequence_length",
    "cos_cache",
    "sin_cache",
    "position_ids",
    "attention_bias",
    "head_sink",
)
INTEGERS = {"seqlens_k", "total_sequence_length"}
OUTPUTS = ("output", "present_key", "present_value")

# A mask of True stands for one of the right size, which the test makes.
OPTIONS = {
    "plain": {},
    "window": {"window": (70, 0)},
    "window of one": {"window": (0, 0)},
    "softcap": {"softcap": 1.5},
    "scale": {"scale": 0.7},
    "sinks": {"sinks": np.float32([0, 3, -2, 1, 0.5, -30])},
    "bias": {"mask": True},
    "all": {
        "window": (20, 0),
        "softcap": 2.0,
        "scale": 0.5,
        "mask": True,
        "sinks": np.float32([0, 3, -2, 1, 0.5, -30]),
    },
}
# Batch, key heads, dim, and the number of keys and queries that come at each step. With a past, the
# operator takes several queries for a batch of one only.
STEPS = {
    "prompts": (2, 6, 16, [130]),
    "tokens": (2, 2, 64, [61, 1, 1, 1, 1, 1]),
    "pieces": (1, 1, 24, [64, 70, 1, 5]),
}


class Arrays:
    """Keys and values kept as they were given."""

    def __init__(self, shape, runtime):
        self._k, self._v = np.empty((2, *shape), np.float32)
        self._length = 0
        self._runtime = runtime

    def append(self, k, v):
        new = slice(self._length, self._length + k.shape[-2])
        self._k[:, :, new], self._v[:, :, new] = k, v
        self._length = new.stop

    def held(self):
        """Return what attention sees, in float32."""
        return self._k[:, :, : self._length], self._v[:, :, : self._length]

    def attention(self, q, **options):
        return fw.attention(
            q, *self.held(), causal="bottom_right", runtime=self._runtime, **options
        )


class Cache:
    """Keys and values in a KVCache, as it stores them."""

    def __init__(self, shape, runtime, dtype):
        batch, heads, capacity, dim = shape
        self._cache = fw.KVCache(heads, dim, capacity, dtype=dtype, batch=batch, runtime=runtime)

    def append(self, k, v):
        self._cache.append(k, v)

    def held(self):
        """Return what attention sees, in float32."""
        return self._cache.numpy()

    def attention(self, q, **options):
        return self._cache.attention(q, causal="bottom_right", **options)


# The places where keys and values are kept, by name: classes with the methods of Arrays.
SOURCES = {
    "arrays": Arrays,
    "float32": functools.partial(Cache, dtype="float32"),
    "float16": functools.partial(Cache, dtype="float16"),
    "int8": functools.partial(Cache, dtype="int8"),
}


@functools.cache
def session(given, attributes):
    """Return a model of the one node, with the inputs that are given."""

    def declared(name):
        kind = TensorProto.INT32 if name in INTEGERS else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, None)

    last = max(INPUTS.index(name) for name in given)
    names = [name if name in given else "" for name in INPUTS[: last + 1]]
    node = helper.make_node(
        "GroupQueryAttention", names, OUTPUTS, domain="com.microsoft", **dict(attributes)
    )
    inputs, outputs = ([declared(name) for name in part] for part in (given, OUTPUTS))
    model = helper.make_model(
        helper.make_graph([node], "attention", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)],
        ir_version=10,
    )
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), one_thread, providers=["CPUExecutionProvider"]
    )


def side_by_side(x):
    """Return (B, H, L, D) as (B, L, H * D)."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def theirs(q, k, v, past, key_counts=None, **options):
    """Return the operator's output and present keys and values.

    The first `past` keys and values are the past. The others are new, one for each query.
    """
    batch, heads, queries, dim = q.shape
    new = slice(past, past + queries)
    counts = np.full(batch, past + queries) if key_counts is None else key_counts
    inputs = {
        "query": side_by_side(q),
        "key": side_by_side(k[:, :, new]),
        "value": side_by_side(v[:, :, new]),
        "seqlens_k": (counts - 1).astype(np.int32),
        "total_sequence_length": np.int32([past + queries]),
    }
    if past:
        inputs |= {"past_key": k[:, :, :past], "past_value": v[:, :, :past]}
    words = {"sinks": "head_sink", "mask": "attention_bias"}
    inputs |= {words[name]: value for name, value in options.items() if name in words}
    attributes = {"num_heads": heads, "kv_num_heads": k.shape[1]}
    attributes |= {n: options[n] for n in ("softcap", "scale") if n in options}
    if "window" in options:
        attributes["local_window_size"] = options["window"][0] + 1
    contiguous = {name: np.ascontiguousarray(x) for name, x in inputs.items()}
    node = session(tuple(contiguous), tuple(attributes.items()))
    out, present_k, present_v = node.run(OUTPUTS, contiguous)
    return out.reshape(batch, queries, heads, dim).swapaxes(1, 2), present_k, present_v


def assert_both_right(ours, other, q, k, v, *, int8=False, **options):
    """Fail unless both results are within their bounds of the oracle's."""
    expected, _ = reference.attention(q, k, v, **options)
    bound, _ = bounds.attention(q, k, v, **options)
    bounds.assert_close(other, expected, bound)
    if int8:
        bound, _ = bounds.attention_int8(q, k, v, **options)
    bounds.assert_close(ours, expected, bound)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", OPTIONS)
def test_step_by_step(one_thread, name, steps, source):
    batch, key_heads, dim, counts = STEPS[steps]
    total = sum(counts)
    q = normal(batch, HEADS, total, dim)
    k, v = normal(2, batch, key_heads, total, dim, seed=1)
    bias = normal(batch, HEADS, total, total, seed=2)
    kept = SOURCES[source](k.shape, one_thread)
    past = 0
    for count in counts:
        new = slice(past, past + count)
        options = dict(OPTIONS[name])
        if "mask" in options:
            options["mask"] = bias[:, :, new, : new.stop]
        kept.append(k[:, :, new], v[:, :, new])
        seen_k, seen_v = kept.held()
        ours = kept.attention(q[:, :, new], **options)
        other, present_k, present_v = theirs(q[:, :, new], seen_k, seen_v, past, **options)
        np.testing.assert_array_equal(present_k, seen_k)
        np.testing.assert_array_equal(present_v, seen_v)
        options["causal"] = "bottom_right"
        int8 = source == "int8"
        assert_both_right(ours, other, q[:, :, new], seen_k, seen_v, int8=int8, **options)
        past = new.stop


def test_a_token_after_pasts_of_different_lengths(runtime):
    """Each entry's new key follows its past. Keys that lie beyond in the buffer are not seen."""
    lengths, room = np.array([20, 13, 1]), 20
    q = normal(3, HEADS, 1, 16)
    k, v = normal(2, 3, 2, room + 1, 16, seed=1)
    other, present_k, present_v = theirs(q, k, v, room, lengths + 1)
    for entry, length in enumerate(lengths):
        k[entry, :, length], v[entry, :, length] = k[entry, :, room], v[entry, :, room]
        seen = (entry, slice(None), slice(length + 1))
        np.testing.assert_array_equal(present_k[seen], k[seen])
        np.testing.assert_array_equal(present_v[seen], v[seen])
    options = {"kv_lengths": lengths + 1, "causal": "bottom_right"}
    ours = fw.attention(q, k, v, runtime=runtime, **options)
    assert_both_right(ours, other, q, k, v, **options)


def test_padded_prompts(runtime):
    """Rows past an entry's length are padding, whose result the operator leaves open."""
    lengths = np.array([20, 13])
    q = normal(2, HEADS, 20, 16)
    k, v = normal(2, 2, 2, 20, 16, seed=1)
    other, _, _ = theirs(q, k, v, 0, lengths)
    ours = fw.attention(q, k, v, kv_lengths=lengths, causal="top_left", runtime=runtime)
    for entry, length in enumerate(lengths):
        rows = (entry, slice(None), slice(length))
        assert_both_right(ours[rows], other[rows], q[rows], k[rows], v[rows], causal="top_left")
