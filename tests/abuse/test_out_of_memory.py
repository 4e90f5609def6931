"""Memory runs out at each allocation of each kind of call in turn, in linear memory and in NumPy.

The call must raise the documented error, or return the right result in another way. No byte may be
lost, indexes and caches must keep their contents, and the same call must then succeed.
"""

import contextlib
import gc
from functools import partial

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from bench.reliability.allocation_faults import allocation_fails, growth_fails, numpy_fails
from bench.reliability.arena_audit import audit_runtime
from every_operation import OPERATIONS
from sample_arrays import normal

# More faults than any of the calls has allocations. A call that has more would not end the loop.
MOST_FAULTS = 120
ROWS, MORE = normal(90, 24), normal(70, 24, seed=1)
Q, K = normal(2, 40, 16), normal(2, 50, 16, seed=1)


class Operation:
    """An operation without state, on arrays of the host or on resident ones."""

    def __init__(self, call, runtime):
        self._call = partial(call, runtime=runtime)

    def run(self):
        return [np.copy(x) for x in as_tuple(self._call())]

    def content(self):
        return []


class IndexCase:
    """An index of 90 vectors, and a use of it."""

    def __init__(self, make, use, tmp_path, runtime):
        self.index = make(runtime)
        self.index.add(ROWS, ids=np.arange(1000, 1090))
        self.index.remove([1003, 1004])
        self._use, self._path = use, tmp_path / "index"
        self.index.save(self._path)

    def run(self):
        if self._use == "add":
            self.index.add(MORE)
        elif self._use == "remove":
            self.index.remove(range(1010, 1050))
        elif self._use == "search":
            return [*self.index.search(MORE[:5], 100)]
        elif self._use == "save":
            self.index.save(self._path)
        elif self._use == "load":
            type(self.index).load(self._path, runtime=self.index._runtime)
        return []

    def content(self):
        loaded = type(self.index).load(self._path, runtime=self.index._runtime)
        found = [*self.index.search(MORE[:5], 200), *loaded.search(MORE[:5], 200)]
        return [*found, np.array(self.index.ids)]


class CacheCase:
    """A cache with 20 keys, to which 20 are appended, or which is attended to."""

    def __init__(self, dtype, use, runtime):
        self.cache = fw.KVCache(2, 16, 60, dtype=dtype, runtime=runtime)
        self.cache.append(K[:, :20], K[:, :20])
        self._use = use

    def run(self):
        if self._use == "attention":
            return [self.cache.attention(Q)]
        self.cache.append(K[:, 20:40], K[:, 20:40])
        return []

    def content(self):
        return [*self.cache.numpy(), self.cache.attention(Q)]


class AdapterCase:
    """An adapter that has taken a step, and a use of it."""

    def __init__(self, use, runtime):
        self.adapter = fw.LoRAAdapter(24, 24, rank=2, ewc_lambda=0.1, runtime=runtime)
        self.adapter.update(ROWS[0], ROWS[1])
        self._use = use

    def run(self):
        if self._use == "update":
            return [self.adapter.update_contrastive(ROWS[2], ROWS[3], ROWS[4:20])]
        if self._use == "consolidate":
            self.adapter.consolidate()
            return []
        return [self.adapter.apply(ROWS)]

    def content(self):
        return [self.adapter.apply(ROWS), self.adapter.a, self.adapter.b]


class EncoderCase:
    """A small encoder, which keeps its weights in linear memory."""

    def __init__(self, folder, runtime):
        tiny_bert.write(folder)
        self.encoder = fw.SentenceEncoder.load(folder, runtime=runtime)

    def run(self):
        return [self.encoder.encode(["test edge", "add a node to the graph", "path"])]

    def content(self):
        return self.run()


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def resident(name, runtime):
    """Return an operation whose operands lie in linear memory, so that its result does too."""
    q, k = runtime.asarray(Q), runtime.asarray(K)
    calls = {
        "attention": lambda runtime: fw.attention(q, k, k, causal="bottom_right", runtime=runtime),
        "softmax": lambda runtime: fw.softmax(k, runtime=runtime),
        "matmul": lambda runtime: fw.matmul(q, k.swapaxes(1, 2), runtime=runtime),
    }
    return Operation(calls[name], runtime)


def options_of_attention(runtime):
    """Attend with every option that takes memory of its own."""
    return fw.attention(
        Q,
        K,
        K,
        mask=normal(2, 40, 50),
        alibi_slopes=np.float32([0.5, 0.25]),
        sinks=np.float32([1, 2]),
        kv_lengths=30,
        return_lse=True,
        runtime=runtime,
    )


PACKED = normal(60, 2, 16)
CALLS = {name: partial(Operation, call) for name, call in OPERATIONS.items()}
CALLS |= {
    f"resident {name}": partial(resident, name) for name in ("attention", "softmax", "matmul")
}
CALLS |= {
    "attention with options": partial(Operation, options_of_attention),
    "attention_scores": partial(Operation, partial(fw.attention_scores, Q, K)),
    "attention_varlen": partial(
        Operation,
        partial(fw.attention_varlen, PACKED, PACKED, PACKED, [0, 10, 60], [0, 30, 60]),
    ),
    "asarray": partial(Operation, lambda runtime: runtime.asarray(Q)),
    **{
        f"KVCache {dtype} {use}": partial(CacheCase, dtype, use)
        for dtype in ("float32", "float16", "int8")
        for use in ("append", "attention")
    },
    **{f"adapter {use}": partial(AdapterCase, use) for use in ("update", "consolidate", "apply")},
}
INDEXES = {
    f"{kind.__name__} {dtype}": partial(kind, 24, dtype=dtype)
    for kind in (fw.FlatIndex, fw.HNSWIndex)
    for dtype in ("float32", "int8")
}
USES = ["add", "search", "remove", "save", "load"]


@pytest.fixture
def make_case(tmp_path):
    """Return a function that makes the case of a name in a runtime."""

    def make(name, runtime):
        if name in CALLS:
            return CALLS[name](runtime)
        if name == "encoder":
            return EncoderCase(tmp_path / "model", runtime)
        kind, dtype, use = name.split()
        return IndexCase(lambda rt: INDEXES[f"{kind} {dtype}"](runtime=rt), use, tmp_path, runtime)

    return make


NAMES = [*CALLS, "encoder", *(f"{index} {use}" for index in INDEXES for use in USES)]


def assert_same(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def bytes_lost(runtime, before):
    """Return the bytes in use beyond those before, once nothing holds an array any more."""
    if runtime.stats().bytes_in_use != before:
        gc.collect()
    audit_runtime(runtime)
    return runtime.stats().bytes_in_use - before


def completed_later(case):
    """Return True if an index was changed although the call that changed it has failed.

    The host's memory may end when the change has begun already. The next call then completes it.
    """
    return isinstance(case, IndexCase) and len(case.index) != len(ROWS) - 2


def faults_of(make_case, name, inject, allowed, runtime, completed=lambda _: False):
    """Let each allocation of a call fail in turn, and return how many there were."""
    gc.collect()
    before = runtime.stats().bytes_in_use
    case = make_case(name, runtime)
    old = case.content()
    expected = case.run()
    new = case.content()
    for nth in range(1, MOST_FAULTS):
        case = make_case(name, runtime)
        with inject(runtime, nth) as fault:
            try:
                result = case.run()
            except allowed:
                assert fault.happened
                result = None
        if result is None:
            assert_same(case.content(), new if completed(case) else old)
            result = expected if completed(case) else case.run()
        assert_same(result, expected)
        assert_same(case.content(), new)
        del case, result
        assert bytes_lost(runtime, before) == 0, f"fault {nth} loses memory"
        if not fault.happened:
            return nth - 1
    raise AssertionError("the call has more allocations than the test tries")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("name", NAMES)
def test_an_allocation_fails(make_case, one_thread, name, lasting):
    """The n-th allocation of linear memory fails, for each n; or all from the n-th on."""
    inject = partial(allocation_fails, lasting=lasting)
    faults = faults_of(make_case, name, inject, fw.OutOfMemoryError, one_thread)
    takes_none = name.endswith(("save", "append"))
    assert bool(faults) != takes_none


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("nth", [1, 2])
def test_memory_cannot_grow(nth, lasting):
    """The system refuses to let linear memory grow while an index is filled."""
    rows = normal(4000, 300)
    with fw.Runtime(threads=1) as runtime, fw.Runtime(threads=1) as calm:
        index, same = fw.FlatIndex(300, runtime=runtime), fw.FlatIndex(300, runtime=calm)
        with growth_fails(runtime, nth, lasting=lasting) as fault:
            for at in range(0, 4000, 400):
                with contextlib.suppress(fw.OutOfMemoryError):
                    index.add(rows[at : at + 400], ids=range(at, at + 400))
                    same.add(rows[at : at + 400], ids=range(at, at + 400))
                audit_runtime(runtime)
        assert fault.happened
        assert_same(index.search(rows[:9], 300), same.search(rows[:9], 300))
        missing = np.setdiff1d(range(4000), index.ids)
        assert bool(len(missing)) == lasting
        index.add(rows[missing], ids=missing)
        assert len(index) == 4000


@pytest.mark.parametrize("name", NAMES)
def test_an_array_of_numpy_fails(make_case, one_thread, name):
    """The n-th array that the package makes in the host's memory cannot be made."""
    faults_of(
        make_case, name, lambda _, nth: numpy_fails(nth), MemoryError, one_thread, completed_later
    )


@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_removing_and_adding_again_take_little_memory(kind):
    """Temporary memory does not grow with the number of vectors that are moved or replaced."""
    rows = normal(20_000 if kind is fw.FlatIndex else 3000, 200)
    options = {} if kind is fw.FlatIndex else {"m": 4, "ef_construction": 8}
    with fw.Runtime(threads=1) as runtime:
        index = kind(200, runtime=runtime, **options)
        for at in range(0, len(rows), 500):
            index.add(rows[at : at + 500])
        index.remove(range(500))
        arena = runtime.arena
        arena.peak = held = runtime.stats().bytes_in_use
        if kind is fw.FlatIndex:
            index.remove(range(500, 700))
        for at in range(0, 500, 100):
            index.add(rows[at : at + 100])
        # The chunk that vectors go through takes up to 2 MiB, and a vector 832 bytes.
        assert arena.peak - held < (5 << 19 if kind is fw.FlatIndex else 200 << 10)


@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_an_interruption_while_vectors_wait_in_the_hosts_memory(kind, monkeypatch):
    """An array goes through the host's memory if two do not fit; Ctrl-C may come there."""
    with fw.Runtime(threads=1) as runtime:
        index = kind(24, runtime=runtime)
        index.add(ROWS)
        expected = index.search(MORE[:5], 90)
        errors = iter([fw.OutOfMemoryError(1, 1, 1), KeyboardInterrupt()])

        def interrupted(*_):
            raise next(errors)

        array = index._store.vectors.rows if kind is fw.HNSWIndex else index._vectors.panels
        with monkeypatch.context() as patch:
            patch.setattr(runtime.arena, "_take", interrupted)
            with pytest.raises(KeyboardInterrupt):
                array.reserve(1000)
        assert_same(index.search(MORE[:5], 90), expected)
        index.add(MORE)
        assert len(index) == 160
        audit_runtime(runtime)
