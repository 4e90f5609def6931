"""One suite for all backends: each option that a backend supports is computed within its bound."""

import contextlib
import functools

import numpy as np
import pytest

import backend_bounds
import flashwasm as fw
from attention_checks import qkv
from flashwasm.backends.native import attention as native_attention
from flashwasm.backends.registry import OTHER_BACKENDS, backend_named
from flashwasm.oracles import bounds, reference
from onnx_cases import collect, compare
from sample_arrays import FLOAT_TYPES, SPECIAL, normal
from search_checks import check_top_k

ONNX_OPERATIONS = ("Attention", "LayerNormalization", "MatMul", "Softmax")
CASES = [c for c in collect() if c.model.graph.node[0].op_type in ONNX_OPERATIONS]


@contextlib.contextmanager
def only_what_it_claims(name, operation):
    """Let a CapabilityError pass if it names an option that the backend does not claim."""
    try:
        yield
    except fw.CapabilityError as error:
        assert name in OTHER_BACKENDS
        option = str(error).partition(":")[0]
        assert option not in backend_named(name).options(operation)
        pytest.skip(str(error))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removeprefix("test_"))
def test_onnx(operations, case):
    operations.attention_scores = fw.attention_scores
    with only_what_it_claims(operations.name, "attention"):
        assert compare(operations, case) <= {"Mean", "InvStdDev"}


HEADS = {"queries": 20, "keys": 150, "leading": (2,), "heads": 4, "key_heads": 2}
MASK = normal(20, 150, seed=3) > 0
ADDED = normal(2, 1, 20, 150, seed=4)
OPTIONS = [
    {},
    {"causal": 3},
    {"causal": -9},
    {"causal": [140, -3]},
    {"causal": "bottom_right", "window": (9, None)},
    {"causal": "bottom_right", "kv_lengths": [7, 120]},
    {"window": (5, 70)},
    {"window": (0, 0)},
    {"scale": -0.3},
    {"softcap": 2.0},
    {"sinks": normal(4, seed=5)},
    {"alibi_slopes": np.abs(normal(4, seed=6))},
    {"kv_lengths": [0, 149]},
    {"mask": MASK},
    {"mask": MASK & (np.arange(150) < 9), "causal": 100},
    {"mask": ADDED},
    {"mask": np.where(MASK, normal(4, 1, 150), np.float32(-np.inf)), "sinks": normal(4, seed=5)},
    {"mask": ADDED, "causal": 100, "window": (60, None), "softcap": 5.0, "scale": 0.4},
]


def claims(backend, options):
    """Return True if a backend claims all of some options of attention."""
    return backend not in OTHER_BACKENDS or options <= backend_named(backend).options("attention")


@pytest.fixture
def small_blocks(monkeypatch):
    """Let small operands take several blocks of a backend that computes in blocks."""
    monkeypatch.setattr(native_attention, "_ROWS", 32)
    monkeypatch.setattr(native_attention, "_SCORES", 32 * 40)
    monkeypatch.setattr(native_attention, "_SHORTEST", 16)


@functools.cache
def exact(case):
    """Return the operands of a case of `OPTIONS`, and the oracle's results."""
    operands = qkv(**HEADS, dim=20, value_dim=9)
    return operands, reference.attention(*operands, **OPTIONS[case])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "case", range(len(OPTIONS)), ids=lambda case: "-".join(OPTIONS[case]) or "plain"
)
def test_attention(operations, case):
    options = OPTIONS[case]
    (q, k, v), (expected, expected_lse) = exact(case)
    with only_what_it_claims(operations.name, "attention"):
        out = operations.attention(q, k, v, **options)
    bound, lse_bound = backend_bounds.attention(operations.name, q, k, v, **options)
    bounds.assert_close(out, expected, bound)
    if claims(operations.name, {"return_lse"}):
        out, lse = operations.attention(q, k, v, return_lse=True, **options)
        bounds.assert_close(out, expected, bound)
        bounds.assert_close(lse, expected_lse, lse_bound)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 300, 64), (2, 1, 70, 256), (2, 3, 0, 8)])
def test_attention_of_equal_shapes(operations, shape, causal):
    """A backend may have a faster way for such calls."""
    q, k, v = (normal(*shape, seed=seed) for seed in range(3))
    out = operations.attention(q, k, v, causal=causal)
    bound = backend_bounds.attention(operations.name, q, k, v, causal=causal)[0]
    bounds.assert_close(out, reference.attention(q, k, v, causal=causal)[0], bound)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "options",
    [
        {"kv_lengths": [9, 120], "causal": 10},
        {"mask": np.arange(150) < 99},
        {"mask": np.where(np.arange(150) < 99, np.float32(0), np.float32(-np.inf))},
        {"window": (3, 3)},
    ],
    ids="-".join,
)
def test_hidden_keys_never_reach_the_result(operations, options):
    q, k, v = qkv(**HEADS)
    hidden = 120
    expected = operations.attention(q, k, v, **options)
    k[:, :, hidden:] = np.nan
    v[:, :, hidden:] = SPECIAL[np.arange(16) % len(SPECIAL)]
    # Keys and values that some row sees, too: NaN comes to the rows that see it, and to no other.
    v[0, 0, 5, 2] = np.inf
    sees = reference.attention_scores(q, np.zeros_like(k), **options)[0, :2, :, 5] == 0
    out = operations.attention(q, k, v, **options)
    touched = np.zeros(out.shape, bool)
    touched[0, :2, :, 2] = sees
    assert np.isposinf(out[touched]).all()
    bound = backend_bounds.attention(operations.name, *qkv(**HEADS), **options)[0]
    bounds.assert_close(out[~touched], expected[~touched], 2 * bound[~touched])


def test_more_keys_than_a_block_has_room_for(operations):
    q, k, v = qkv(queries=9, keys=9000, heads=1)
    out = operations.attention(q, k, v)
    bound = backend_bounds.attention(operations.name, q, k, v)[0]
    bounds.assert_close(out, reference.attention(q, k, v)[0], bound)


def test_nan_in_what_is_seen_gives_nan(operations):
    q, k, v = qkv(queries=9, keys=150)
    k[1, 140, 3] = np.nan
    out = operations.attention(q, k, v, causal=135)
    assert not np.isnan(out[0]).any()
    assert np.isnan(out[1, 5:]).all()
    assert not np.isnan(out[1, :5]).any()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 1), (1, 1)),
        ((5, 7), (7, 3)),
        ((2, 3, 5, 7), (3, 7, 4)),
        ((70, 300), (300, 65)),
        ((300, 4, 4), (300, 4, 4)),
        ((3, 60, 30), (30, 70)),
        ((1, 400), (400, 900)),
        ((2, 0), (0, 3)),
        ((0, 3), (3, 2)),
    ],
    ids=str,
)
def test_matmul(operations, a, b):
    x, y, bias = normal(*a), normal(*b, seed=1), normal(b[-1], seed=2)
    bounds.assert_close(operations.matmul(x, y), reference.matmul(x, y), bounds.matmul(x, y))
    turned = np.ascontiguousarray(y.swapaxes(-1, -2)).swapaxes(-1, -2)
    with only_what_it_claims(operations.name, "matmul"):
        found = operations.matmul(x, turned, bias=bias)
    bounds.assert_close(found, reference.matmul(x, y) + bias, bounds.matmul(x, y, bias))


def test_vectors_and_a_product_of_many_pieces(operations):
    x, y = normal(700), normal(700, 900, seed=1)
    for found, m in ((operations.matmul(x, y), x[None]), (operations.matmul(y.T, x), x[None])):
        bounds.assert_close(found, reference.matmul(m, y)[0], bounds.matmul(m, y)[0])
    a, b = normal(300, 700, seed=2), y
    bounds.assert_close(operations.matmul(a, b), reference.matmul(a, b), bounds.matmul(a, b))


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types_become_float32(operations, dtype):
    x = normal(6, 8).astype(dtype)
    narrow = x.astype(np.float32)
    pairs = [
        (operations.matmul(x, x.T), operations.matmul(narrow, narrow.T)),
        (operations.softmax(x), operations.softmax(narrow)),
        (operations.layer_norm(x), operations.layer_norm(narrow)),
        (operations.attention(x, x, x), operations.attention(narrow, narrow, narrow)),
    ]
    for found, expected in pairs:
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax(operations, axis):
    x = 4 * normal(30, 90, 20)
    bound = backend_bounds.softmax(operations.name, x, axis)
    bounds.assert_close(operations.softmax(x, axis), reference.softmax(x, axis), bound)


def test_rows_of_softmax_that_have_no_answer(operations):
    x = np.zeros((5, 3), np.float32)
    x[0, 1], x[1, 2], x[2], x[3, 0] = np.nan, np.inf, -np.inf, -np.inf
    found = operations.softmax(x)
    assert np.isnan(found[:3]).all()
    assert found[3].tolist() == [0, 0.5, 0.5]
    assert operations.softmax(np.zeros((3, 0), np.float32)).shape == (3, 0)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("shape", [(2, 3, 50), (100, 1, 960), (1, 1, 70_000)])
def test_layer_norm(operations, shape, axis):
    x = normal(*shape) + 3
    weight, bias = normal(*shape[axis:], seed=1), normal(*shape[axis:], seed=2)
    for given in ((), (weight,), (weight, bias)):
        with only_what_it_claims(operations.name, "layer_norm"):
            found = operations.layer_norm(x, *given, axis=axis)
        expected = reference.layer_norm(x, *given, axis=axis)
        bound = backend_bounds.layer_norm(operations.name, x, *given, axis=axis)
        bounds.assert_close(found, expected, bound)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize(
    ("queries", "rows", "k"), [(1, 1, 1), (3, 70, 70), (300, 40, 5), (2, 9000, 20)]
)
def test_top_k(operations, queries, rows, k, metric):
    q, corpus = normal(queries, 33), normal(rows, 33, seed=1)
    given = {"backend": operations.name, "metric": metric}
    with only_what_it_claims(operations.name, "cosine_top_k"):
        check_top_k(q, corpus, k, **given)


def test_ties_go_to_the_lowest_row(operations):
    corpus = np.tile(np.eye(4, dtype=np.float32), (600, 1))
    scores, rows = operations.cosine_top_k(np.eye(4, dtype=np.float32)[1:3], corpus, 5)
    assert (scores == 1).all()
    assert rows.tolist() == [[1, 5, 9, 13, 17], [2, 6, 10, 14, 18]]


def test_rows_without_a_cosine(operations):
    corpus = normal(5, 8)
    corpus[1], corpus[3, 2] = 0, np.nan
    scores, rows = operations.cosine_top_k(corpus[:1] * np.float32(1e25), corpus, 5)
    assert rows[0, 0] == 0
    assert rows[0, -1] == 3
    assert np.isnan(scores[0, -1])
    assert scores[0, rows[0] == 1] == 0
    np.testing.assert_allclose(scores[0, 0], 1, rtol=1e-6)
