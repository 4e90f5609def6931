"""Every public method of an object in linear memory raises ClosedError after its runtime is closed.

Sizes, ids and settings are not in linear memory, so they can still be read.
"""

import inspect

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from sample_arrays import normal

X, ONE = normal(2, 4), normal(4)
HEADS = normal(2, 3, 4)


def cache(rt):
    made = fw.KVCache(2, 4, 8, runtime=rt)
    made.append(HEADS, HEADS)
    made.attention(HEADS)
    return made


def filled(index):
    index.add(X)
    return index


def adapter(rt):
    made = fw.LoRAAdapter(4, 4, ewc_lambda=1.0, runtime=rt)
    made.update(ONE, ONE)
    return made


# How each object is made, and how its methods are called.
CASES = {
    fw.Runtime: (
        lambda rt: rt,
        {
            "empty": lambda x: x.empty(3),
            "zeros": lambda x: x.zeros(3),
            "asarray": lambda x: x.asarray(X),
            "stats": lambda x: x.stats(),
            "copy": None,  # Internal, as are the others that are None.
            "__enter__": lambda x: x.__enter__(),
        },
    ),
    fw.KVCache: (
        cache,
        {
            "append": lambda x: x.append(HEADS, HEADS),
            "attention": lambda x: x.attention(HEADS),
            "truncate": lambda x: x.truncate(1),
            "copy": lambda x: x.copy(),
            "numpy": lambda x: x.numpy(),
        },
    ),
    fw.FlatIndex: (
        lambda rt: filled(fw.FlatIndex(4, runtime=rt)),
        {
            "add": lambda x: x.add(X),
            "get": lambda x: x.get(0),
            "remove": lambda x: x.remove([0]),
            "save": lambda x: x.save("unused"),
            "search": lambda x: x.search(X, 1),
        },
    ),
    fw.LoRAAdapter: (
        adapter,
        {
            "a": lambda x: x.a,
            "b": lambda x: x.b,
            "apply": lambda x: x.apply(X),
            "consolidate": lambda x: x.consolidate(),
            "save": lambda x: x.save("unused"),
            "state": lambda x: x.state(),
            "restore": None,
            "update": lambda x: x.update(ONE, ONE),
            "update_contrastive": lambda x: x.update_contrastive(ONE, ONE, X),
            "update_feedback": lambda x: x.update_feedback(ONE, ONE, accepted=True),
        },
    ),
    fw.Int8Matrix: (
        lambda rt: fw.Int8Matrix(X, runtime=rt),
        {
            "dequantize": lambda x: x.dequantize(),
            "operands": None,
            "matmul_i8": lambda x: fw.matmul_i8(normal(1, 2), x),
        },
    ),
}
CASES[fw.HNSWIndex] = (
    lambda rt: filled(fw.HNSWIndex(4, runtime=rt)),
    CASES[fw.FlatIndex][1] | {"search_report": lambda x: x.search_report(X, 1)},
)
CASES[fw.ShardedIndex] = (
    lambda _: filled(fw.ShardedIndex("flat", 4, threads=1)),
    CASES[fw.FlatIndex][1] | {"__enter__": lambda x: x.__enter__()},
)
# These need no linear memory. A second `close` does nothing.
WORKS = {"cancel", "close", "holds", "check_open", "close_after_fork", "load"}


@pytest.mark.parametrize("kind", CASES)
def test_every_method_after_close(kind):
    make, calls = CASES[kind]
    rt = fw.Runtime(threads=1)
    thing = make(rt)
    methods = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    assert methods <= calls.keys() | WORKS
    (thing if hasattr(thing, "close") else rt).close()
    for name, call in calls.items():
        if call is not None:
            with pytest.raises(fw.ClosedError):
                pytest.fail(f"{name} returned {call(thing)!r}")
    assert repr(thing).endswith("closed)")
    if hasattr(thing, "ids"):
        assert (len(thing), 1 in thing, thing.ids.tolist()) == (2, True, [0, 1])
    if kind is fw.KVCache:
        assert len(thing) == 3


@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex, fw.ShardedIndex])
def test_calls_without_vectors_after_close(kind):
    empty = np.empty((0, 4), np.float32)
    rt = fw.Runtime(threads=1)
    index = CASES[kind][0](rt)
    (index if kind is fw.ShardedIndex else rt).close()
    for call in (
        lambda: index.add(empty),
        lambda: index.get([]),
        lambda: index.remove([]),
        lambda: index.search(empty, 1),
    ):
        with pytest.raises(fw.ClosedError):
            call()


def test_an_encoder_after_close(tmp_path):
    tiny_bert.write(tmp_path)
    with fw.Runtime(threads=1) as rt:
        encoder = fw.SentenceEncoder.load(tmp_path, runtime=rt)
    for texts in (["a"], []):
        for encode in (encoder.encode, encoder.encode_tokens):
            with pytest.raises(fw.ClosedError):
                encode(texts)
