"""For any argument, a public function works or raises an error that its docstring documents."""

import inspect
import re
from itertools import product

import numpy as np
import pytest

import flashwasm as fw

X = np.ones((2, 4), np.float32)
HEADS = np.ones((2, 3, 4), np.float32)
OFFSETS = [0, 2]
# Further options by name, and arguments of the tests.
HIDDEN = {"options"}
ODD = [
    object(),
    "odd",
    b"odd",
    -1,
    2**70,
    1.5,
    float("nan"),
    None,
    True,
    [],
    {},
    (1, "a"),
    np.array("odd"),
    np.array([[1], [2]], object),
    np.array(np.datetime64("2020-01-01")),
    np.zeros((0, 4), np.float32),
    X.astype(complex),
]


@pytest.fixture(scope="module")
def runtime_of_its_own():
    """A runtime of its own, since an error may keep arrays alive, which other tests would count."""
    with fw.Runtime(threads=1) as runtime:
        yield runtime


def cache(rt):
    made = fw.KVCache(2, 4, 8, runtime=rt)
    made.append(HEADS, HEADS)
    return made


def flat(rt):
    made = fw.FlatIndex(4, runtime=rt)
    made.add(X)
    return made


def graph(rt):
    made = fw.HNSWIndex(4, runtime=rt)
    made.add(X)
    return made


def sharded(_):
    made = fw.ShardedIndex("flat", 4, threads=1)
    made.add(X)
    return made


def adapter(rt):
    return fw.LoRAAdapter(4, 4, rank=1, ewc_lambda=1.0, runtime=rt)


def whitening(rt):
    return fw.Whitening.fit(np.eye(5, 4), runtime=rt)


# A function, or a method of an object that is made for it, and arguments that are right.
CALLS = {
    "vecadd": {"a": X, "b": X},
    "gelu": {"x": X},
    "matmul": {"a": X, "b": X.T},
    "softmax": {"x": X},
    "layer_norm": {"x": X},
    "rms_norm": {"x": X},
    "embedding": {"ids": [0, 1], "table": X},
    "rotary_embedding": {"x": HEADS[None], "cos": HEADS[:1, :, :2], "sin": HEADS[:1, :, :2]},
    "mean_pool": {"x": X, "cu_seqlens": OFFSETS},
    "cosine_top_k": {"queries": X, "corpus": X, "k": 1},
    "attention": {"q": HEADS, "k": HEADS, "v": HEADS},
    "attention_varlen": {"q": HEADS, "k": HEADS, "v": HEADS, "cu_seqlens_q": OFFSETS},
    "attention_scores": {"q": HEADS, "k": HEADS},
    "attention_backward": {
        "dout": HEADS,
        "q": HEADS,
        "k": HEADS,
        "v": HEADS,
        "out": HEADS,
        "lse": HEADS[..., 0],
    },
    "merge_attention": {"outs": [X], "lses": [X[:, 0]]},
    "KVCache": {"heads": 2, "dim": 4, "capacity": 8},
    "FlatIndex": {"dim": 4},
    "HNSWIndex": {"dim": 4},
    "LoRAAdapter": {"in_dim": 4, "out_dim": 4},
    "Runtime": {"threads": 1, "max_memory": 1 << 26},
    "ShardedIndex": {"kind": "hnsw", "dim": 4, "threads": 1},
    "Whitening.fit": {"vectors": np.eye(5, 4)},
    (cache, "append"): {"k": HEADS, "v": HEADS},
    (cache, "attention"): {"q": HEADS},
    (cache, "truncate"): {"n": 1},
    (flat, "add"): {"vectors": X},
    (flat, "search"): {"queries": X, "k": 1},
    (flat, "remove"): {"ids": [0]},
    (graph, "add"): {"vectors": X},
    (graph, "search"): {"queries": X, "k": 1},
    (graph, "search_report"): {"queries": X, "k": 1},
    (graph, "remove"): {"ids": [0]},
    (sharded, "add"): {"vectors": X},
    (sharded, "search"): {"queries": X, "k": 1},
    (sharded, "remove"): {"ids": [0]},
    (adapter, "apply"): {"x": X},
    (adapter, "update"): {"x": X[0], "target": X[0]},
    (adapter, "update_contrastive"): {"x": X[0], "positive": X[0], "negatives": X},
    (adapter, "update_feedback"): {"x": X[0], "candidate": X[0], "accepted": True},
    (whitening, "apply"): {"x": X},
}


def named(call):
    return call if isinstance(call, str) else f"{call[0].__name__}.{call[1]}"


def documented(function):
    """Return the classes of the errors that a docstring names."""
    section = re.search(
        r"^Raises\n-+\n(.*?)(?=^\w+\n---|\Z)", inspect.getdoc(function), re.MULTILINE | re.DOTALL
    )
    names = re.findall(r"[A-Z]\w+", section[1])
    return tuple(getattr(fw, name) for name in names if hasattr(fw, name))


def found(call, runtime):
    """Return a function, or a method of a new object."""
    if isinstance(call, tuple):
        return getattr(call[0](runtime), call[1])
    function = fw
    for part in call.split("."):
        function = getattr(function, part)
    return function


def outcome(function, arguments):
    """Return the error of the package's own that a call raises, or None; any other error fails."""
    try:
        result = function(**arguments)
    except fw.FlashWasmError as error:
        return error
    if hasattr(result, "close"):
        result.close()
    return None


@pytest.mark.parametrize("call", CALLS, ids=named)
def test_odd_arguments_raise_what_the_docstring_names(call, runtime_of_its_own):
    names = inspect.signature(found(call, runtime_of_its_own)).parameters
    for name, odd in product((n for n in names if n not in HIDDEN), ODD):
        function = found(call, runtime_of_its_own)
        error = outcome(function, {**CALLS[call], name: odd})
        if error is not None:
            assert isinstance(error, documented(function)), (name, odd, error)
            assert str(error), (name, odd)
