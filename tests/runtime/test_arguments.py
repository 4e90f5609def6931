"""Wrong arguments raise an error of flashwasm that names the argument."""

import copy
import pickle

import numpy as np
import pytest

import flashwasm as fw
from sample_arrays import normal

X = normal(3, 4)
HEADS = normal(1, 2, 3, 4)
ANGLES = normal(1, 3, 2), normal(1, 3, 2)
HIDDEN = np.ma.array(X, mask=X > 0)


class Untaken:
    """Raises RuntimeError as an array, as a tensor of PyTorch that requires a gradient does."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


NAMES = np.array(["relaxed", "scalar"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fw.softmax(HIDDEN), fw.DTypeError, "x: .*masked"),
        (lambda: fw.attention(X, X, HIDDEN), fw.DTypeError, "v: .*masked"),
        (lambda: fw.attention(X, Untaken(), X), fw.DTypeError, "k: .*Untaken.*detach"),
        (lambda: fw.FlatIndex(4).add(X * np.nan), fw.ShapeError, "vectors: .*finite numbers$"),
        (lambda: fw.gelu(X, NAMES), fw.DTypeError, "approximate: "),
        (lambda: fw.cosine_top_k(X, X, 1, metric=X), fw.DTypeError, "metric: "),
        (lambda: fw.Runtime(variant=NAMES), fw.DTypeError, "variant: "),
        (lambda: fw.layer_norm(X, eps=1e39), fw.ShapeError, "eps: .*float32.*1e.39"),
        (lambda: fw.layer_norm(X, eps=np.complex64(1)), fw.DTypeError, "eps: "),
        (lambda: fw.attention(X, X, X, scale=-1e300), fw.ShapeError, "scale: .*float32"),
        (lambda: fw.attention(X, X, X, softcap=1e39), fw.ShapeError, "softcap: .*float32"),
        (lambda: fw.attention(X, X, X, window=[[1], [1, 2]]), fw.DTypeError, "window: "),
        (lambda: fw.attention(X, X, X, window=(X, 1)), fw.DTypeError, "window: "),
        (lambda: fw.attention(X, X, X, window=X), fw.ShapeError, "window: "),
        (lambda: fw.attention(X, X, X, window={1, 2}), fw.ShapeError, "window: "),
        (lambda: fw.mean_pool(X, [[0], [1, 2]]), fw.DTypeError, "cu_seqlens: "),
        (lambda: fw.mean_pool(X, [0, 3], normalize="no"), fw.DTypeError, "normalize: "),
        (lambda: fw.rotary_embedding(HEADS, *ANGLES, num_heads=X), fw.DTypeError, "num_heads: "),
        (lambda: fw.rotary_embedding(HEADS, *ANGLES, rotary_dim=X), fw.DTypeError, "rotary_dim: "),
        (lambda: fw.rotary_embedding(HEADS, *ANGLES, interleaved=2), fw.DTypeError, "interleaved"),
        (lambda: fw.merge_attention(3, [X]), fw.DTypeError, "outs: .*int"),
        (lambda: fw.merge_attention([X], None), fw.DTypeError, "lses: .*NoneType"),
    ],
)
def test_wrong_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=rf"^{message}"):
        call()


def test_truth_values_may_be_numpys():
    for flag in (True, False):
        expected = fw.attention(X, X, X, causal=flag)
        assert (fw.attention(X, X, X, causal=np.bool_(flag)) == expected).all()
    with pytest.raises(fw.ShapeError, match="causal: True is ambiguous"):
        fw.attention(X, X[:2], X[:2], causal=np.True_)
    with pytest.raises(fw.ShapeError, match="causal: True is ambiguous"):
        fw.attention_varlen(HEADS[0], *[HEADS[0]] * 2, [0, 1, 2], [0, 2, 2], causal=np.True_)


def test_masked_arrays_without_masked_elements_are_accepted():
    assert (fw.softmax(np.ma.array(X)) == fw.softmax(X)).all()


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        ("empty", ("ab",), fw.DTypeError, "shape: "),
        ("empty", (None,), fw.DTypeError, "shape: "),
        ("empty", ((2, 1.5),), fw.DTypeError, "shape: "),
        ("empty", ((2, -1),), fw.ShapeError, "shape: "),
        ("empty", ((1,) * 65,), fw.ShapeError, "shape: "),
        ("empty", (2, "float31"), fw.DTypeError, "dtype: .*float31"),
        ("asarray", ([[1], [1, 2]],), fw.DTypeError, "a: "),
        ("asarray", ([None],), fw.DTypeError, "a: .*object"),
        ("asarray", (X, "float31"), fw.DTypeError, "dtype: .*float31"),
    ],
)
def test_refused_arrays_take_no_linear_memory(one_thread, function, arguments, error, message):
    before = one_thread.stats().bytes_in_use
    with pytest.raises(error, match=rf"^{message}"):
        getattr(one_thread, function)(*arguments)
    assert one_thread.stats().bytes_in_use == before


def test_only_arrays_lie_in_linear_memory(one_thread):
    assert not one_thread.holds([1.0, 2.0])
    assert not one_thread.holds(None)


def test_a_cache_is_truncated_to_at_most_its_length():
    cache = fw.KVCache(1, 4, 8)
    cache.append(X[None], X[None])
    for n in (-1, 4):
        with pytest.raises(fw.ShapeError, match=rf"^n: expected from 0 to 3, .*{n}"):
            cache.truncate(n)
    with pytest.raises(fw.DTypeError, match=r"^n: "):
        cache.truncate(1.0)
    cache.truncate(np.int64(0))
    assert len(cache) == 0


def test_infinities_and_overflow_give_no_warning():
    """NumPy alone would warn in each of these cases, and warnings are errors in our tests."""
    wide, infinite = np.full((3, 4), 1e300), np.full((3, 4), np.inf)
    for x in (wide, infinite):
        fw.attention_scores(x, x, mask=np.full(3, np.inf), softcap=2.0)
        fw.attention(x, x, x, sinks=x[0, :1], alibi_slopes=x[0, :1])
        out, lse = fw.merge_attention([x, x], [x[:, 0], -x[:, 0]])
        assert out.dtype == lse.dtype == np.float32
        for dtype in ("float32", "int8"):
            cache = fw.KVCache(1, 4, 3, dtype=dtype)
            cache.append(x[None], x[None])
            assert not np.isfinite(cache.numpy()).any()
        with pytest.raises(fw.ShapeError, match="b: expected finite numbers"):
            fw.Int8Matrix(x)


def test_errors_can_be_sent_to_another_process():
    """A process pool would wait for ever for an error that cannot be unpickled."""
    error = pickle.loads(pickle.dumps(fw.OutOfMemoryError(3, 2, 1)))  # noqa: S301 - made here.
    assert (error.requested, error.in_use, error.allowed) == (3, 2, 1)
    assert "3 bytes requested" in str(error)


IN_LINEAR_MEMORY = {
    "Runtime": lambda rt: rt,
    "FlatIndex": lambda rt: fw.FlatIndex(4, runtime=rt),
    "HNSWIndex": lambda rt: fw.HNSWIndex(4, runtime=rt),
    "KVCache": lambda rt: fw.KVCache(1, 8, 4, runtime=rt),
    "LoRAAdapter": lambda rt: fw.LoRAAdapter(4, 4, rank=1, runtime=rt),
}


@pytest.mark.parametrize("name", IN_LINEAR_MEMORY)
@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy, copy.copy])
def test_objects_in_linear_memory_are_not_copied(one_thread, name, copied):
    """A copy would share the memory, not the bookkeeping, and give wrong results."""
    thing = IN_LINEAR_MEMORY[name](one_thread)
    with pytest.raises(TypeError, match="make one in each process"):
        copied(thing)


def test_only_objects_with_files_are_to_be_saved(one_thread):
    with pytest.raises(TypeError, match=r"^KVCache objects .*: use its method copy, or make one"):
        copy.copy(fw.KVCache(1, 8, 4, runtime=one_thread))
    with pytest.raises(TypeError, match=r"^Runtime objects .*: make one in each process$"):
        copy.copy(one_thread)
    with pytest.raises(TypeError, match=r"^FlatIndex objects .* methods save and load$"):
        copy.copy(fw.FlatIndex(4, runtime=one_thread))


def test_an_array_in_linear_memory_is_pickled_as_a_plain_array(one_thread):
    x = one_thread.asarray(X)
    copied = pickle.loads(pickle.dumps(x))  # noqa: S301 - made here.
    assert copied.tobytes() == X.tobytes()
    assert not np.shares_memory(copied, x)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_sharded_index_is_not_copied(copied):
    with (
        fw.ShardedIndex("flat", 4, threads=1) as index,
        pytest.raises(TypeError, match="make one in each process"),
    ):
        copied(index)


@pytest.mark.parametrize("dtype", [np.int8, np.dtype("int8"), np.str_("int8")])
def test_a_dtype_of_numpy_stands_for_its_name(one_thread, tmp_path, dtype):
    assert fw.KVCache(1, 8, 4, dtype=dtype, runtime=one_thread).dtype == "int8"
    assert fw.FlatIndex(4, dtype=dtype, runtime=one_thread).dtype == "int8"
    assert fw.HNSWIndex(4, dtype=dtype, runtime=one_thread).dtype == "int8"
    with fw.ShardedIndex("flat", 4, shard_size=2, threads=1, dtype=dtype) as index:
        index.add(X)
        index.save(tmp_path / "shards")
    with fw.ShardedIndex.load(tmp_path / "shards", threads=1) as index:
        assert (index.dtype, len(index)) == ("int8", 3)
        index.add(X)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("int16"), np.generic, float])
def test_other_dtypes_of_numpy_are_refused(one_thread, dtype):
    with pytest.raises(fw.DTypeError, match="dtype: expected one of 'float32'"):
        fw.KVCache(1, 8, 4, dtype=dtype, runtime=one_thread)
    with pytest.raises(fw.DTypeError, match="dtype: expected one of 'float32'"):
        fw.FlatIndex(4, dtype=dtype, runtime=one_thread)


def test_a_misspelt_option_of_a_cache_is_refused(one_thread):
    cache = fw.KVCache(1, 8, 4, runtime=one_thread)
    with pytest.raises(
        TypeError, match=r"attention\(\) got an unexpected keyword argument 'scales'"
    ):
        cache.attention(np.ones((1, 1, 4), np.float32), scales=1.0)


@pytest.mark.parametrize("kind", [fw.FlatIndex, fw.HNSWIndex])
def test_more_neighbours_than_any_index_holds(one_thread, kind):
    with pytest.raises(fw.ShapeError, match="k: expected at most"):
        kind(4, runtime=one_thread).search(np.ones((1, 4), np.float32), 2**63)
