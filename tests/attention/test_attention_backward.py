"""The gradient of attention compared with the oracle, and the oracle with finite differences."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from attention_gradients import (
    HEADS,
    OPTIONS,
    assert_all_same_bits,
    check_gradients,
    for_oracle,
    qkv,
)
from flashwasm.oracles import reference
from sample_arrays import FLOAT_TYPES, layouts, normal


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("mask", [None, "boolean", "additive"])
def test_the_oracle_is_the_derivative_of_the_oracle_of_attention(name, mask):
    operands = [x.astype(np.float64) for x in qkv(4, 6, 3, 2)]
    options = for_oracle(*operands[:2], OPTIONS[name])
    if "kv_lengths" in options:
        options["kv_lengths"] = np.minimum(options["kv_lengths"], [5, 0])
    if mask:
        added = normal(HEADS, 4, 6, seed=4)
        options["mask"] = added > -0.5 if mask == "boolean" else np.where(added > 1, -np.inf, added)
    dout = normal(2, HEADS, 4, 2, seed=3).astype(np.float64)
    found = reference.attention_backward(dout, *operands, **options)
    for which, direction in itertools.product(range(3), range(3)):
        along = normal(*operands[which].shape, seed=9 + direction).astype(np.float64)
        losses = []
        for step in (1e-5, -1e-5):
            moved = list(operands)
            moved[which] = moved[which] + step * along
            losses.append((dout * reference.attention(*moved, **options)[0]).sum())
        slope = (losses[0] - losses[1]) / 2e-5
        assert abs(slope - (found[which] * along).sum()) < 1e-7


# Lengths around groups of 8 queries, panels of 4 keys, and blocks of 64 of either.
LENGTHS = [(1, 1), (1, 200), (7, 5), (8, 4), (9, 63), (16, 64), (33, 65), (63, 66), (64, 128)]
LENGTHS += [(65, 129), (127, 3), (129, 191), (200, 260)]


@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_lengths(runtime, queries, keys):
    check_gradients(*qkv(queries, keys, leading=(), heads=2, key_heads=2), runtime=runtime)


@pytest.mark.parametrize("causal", ["top_left", "bottom_right", 3, -3, 1000, -1000])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_causal(runtime, queries, keys, causal):
    operands = qkv(queries, keys, leading=(), heads=1, key_heads=1)
    check_gradients(*operands, causal=causal, runtime=runtime)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33, 64, 96, 200, 256])
def test_head_dimensions(runtime, dim):
    operands = qkv(19, 70, dim, dim, leading=(), heads=1, key_heads=1)
    check_gradients(*operands, causal="bottom_right", runtime=runtime)


@pytest.mark.parametrize(("dim", "value_dim"), [(8, 1), (8, 3), (1, 8), (64, 32), (33, 65)])
def test_values_of_another_dimension(runtime, dim, value_dim):
    check_gradients(*qkv(19, 70, dim, value_dim), runtime=runtime)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 1), (4, 2), (6, 3), (4, 4)])
@pytest.mark.parametrize("causal", [False, "top_left"])
def test_neighbouring_query_heads_share_a_key_head(runtime, heads, key_heads, causal):
    operands = qkv(70, 40, heads=heads, key_heads=key_heads)
    check_gradients(*operands, causal=causal, runtime=runtime)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3)])
def test_leading_axes(runtime, leading):
    check_gradients(*qkv(10, 20, leading=leading), causal="top_left", runtime=runtime)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 1), (3,), (1, 1)),
        ((1, 1), (2, 3), (2, 3)),
        ((2, 3), (), ()),
        ((1, 3), (2, 1), (2, 1)),
    ],
)
def test_the_gradient_of_a_broadcast_operand_is_a_sum(runtime, shapes):
    sizes = [(4, 70, 8), (2, 11, 8), (2, 11, 5)]
    operands = [
        normal(*lead, *size, seed=i)
        for i, (lead, size) in enumerate(zip(shapes, sizes, strict=True))
    ]
    for x, gradient in zip(operands, check_gradients(*operands, runtime=runtime), strict=True):
        assert gradient.shape == x.shape


def test_two_axes_are_one_head(runtime):
    operands = [x[0, 0] for x in qkv(70, 20)]
    actual = check_gradients(*operands, causal="top_left", runtime=runtime)
    assert [x.shape for x in actual] == [x.shape for x in operands]
    # A mask may have leading axes that the operands lack. The gradients have the operands' shapes.
    mask = normal(3, 1, 70, 20) > 0
    actual = check_gradients(*operands, mask=mask, runtime=runtime)
    assert [x.shape for x in actual] == [x.shape for x in operands]


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option(runtime, name):
    check_gradients(*qkv(), runtime=runtime, **OPTIONS[name])


@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids=" and ".join)
def test_options_compose(one_thread, pair):
    mask = normal(21, 90, seed=3)
    both = OPTIONS[pair[0]] | OPTIONS[pair[1]]
    options = {"mask": np.where(mask > 1.5, -np.inf, mask), "runtime": one_thread}
    check_gradients(*qkv(21, 90), **options, **both)


@pytest.mark.parametrize("shape", [(20, 70), (1, 70), (20, 1), (70,), (2, 4, 20, 70), ()])
@pytest.mark.parametrize("kind", [bool, np.float32])
def test_masks_broadcast(runtime, shape, kind):
    mask = normal(*shape) if kind is np.float32 else normal(*shape) > -0.5
    check_gradients(*qkv(20, 70), mask=mask, causal="bottom_right", runtime=runtime)


def test_blocks_without_a_true_key(runtime):
    """Blocks of keys that no query sees, or that some queries do not see, lie between seen ones."""
    mask = normal(150, 330, seed=3) > 0
    mask[:, 64:192] = False
    mask[8:24, 192:256] = False
    mask[40:50] = False
    check_gradients(*qkv(150, 330, leading=(), heads=2, key_heads=1), mask=mask, runtime=runtime)


@hypothesis.given(data=st.data())
def test_any_sizes_and_options(data):
    queries, keys = data.draw(st.integers(1, 80)), data.draw(st.integers(0, 150))
    side = st.one_of(st.none(), st.integers(0, 160))
    options = {
        "causal": data.draw(st.sampled_from([False, "top_left", "bottom_right", 7, -150])),
        "window": data.draw(st.tuples(side, side)),
        "softcap": data.draw(st.sampled_from([None, 0.0, 0.3, 30.0])),
        "kv_lengths": np.array(data.draw(st.tuples(*[st.integers(0, keys)] * 2))),
        "sinks": data.draw(st.sampled_from([None, normal(HEADS, seed=5)])),
        "mask": data.draw(st.sampled_from([None, normal(queries, keys) > 0])),
        "dropout": data.draw(st.sampled_from([0.0, 0.3])),
    }
    dims = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    check_gradients(*qkv(queries, keys, *dims), seed=5, **options)


@pytest.mark.parametrize("size", [1e-30, 5.0, 30.0])
def test_scores_of_any_size(runtime, size):
    q, k, v = qkv(20, 70)
    check_gradients(q * np.float32(size), k, v, runtime=runtime)


def test_weights_never_exceed_one(one_thread):
    """All weight falls on one key. Its score and the log-sum-exp, rounded apart, may differ."""
    q, k, v = (normal(1, 40, 16, seed=i) for i in range(3))
    q *= np.float32(1e6)
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=one_thread)
    ones, raised = np.ones_like(out), np.nextafter(lse, np.float32(-np.inf))
    for given in (lse, raised):
        _, _, dv = fw.attention_backward(ones, q, k, v, out, given, runtime=one_thread)
        assert dv.min() >= 0
        assert dv.sum(axis=-2).max() <= 40


@pytest.mark.parametrize("layout", [name for name, _ in layouts(normal(1, 1))])
def test_layouts(runtime, layout):
    q, k, v = qkv(20, 70, leading=())
    mask = normal(HEADS, 20, 70)
    out, lse = fw.attention(q, k, v, mask=mask, return_lse=True, runtime=runtime)
    given = (normal(*out.shape, seed=3), q, k, v, out, lse)
    expected = fw.attention_backward(*given, mask=mask, runtime=runtime)
    relaid = [dict(layouts(x))[layout] for x in (*given, mask)]
    actual = fw.attention_backward(*relaid[:6], mask=relaid[6], runtime=runtime)
    assert_all_same_bits(actual, expected)


def test_heads_that_lie_side_by_side(runtime):
    """A projection's (batch, length, heads, dim) is a view of (batch, heads, length, dim)."""
    packed = normal(2, 70, 3, 4, 16)
    q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    expected = check_gradients(q, k, v, causal=True, runtime=runtime)
    lying = runtime.asarray(packed)
    q, k, v = (lying[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    assert_all_same_bits(check_gradients(q, k, v, causal=True, runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    given = [x.astype(dtype) for x in (normal(2, 20, 9, seed=3), *qkv(20, 70, leading=(), heads=2))]
    narrow = [x.astype(np.float32) for x in given]
    out, lse = fw.attention(*narrow[1:], return_lse=True, runtime=runtime)
    expected = fw.attention_backward(*narrow, out, lse, runtime=runtime)
    assert_all_same_bits(fw.attention_backward(*given, out, lse, runtime=runtime), expected)


Q, K, V = qkv(5, 7)


OUT, LSE = fw.attention(Q, K, V, return_lse=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dout": OUT[..., :8]}, fw.ShapeError, r"^dout: .*\(2, 4, 5, 9\).*\(2, 4, 5, 8\)"),
        ({"dout": OUT[0]}, fw.ShapeError, r"^dout\b"),
        ({"dout": OUT.astype(int)}, fw.DTypeError, r"^dout\b.*int64"),
        ({"out": OUT[:, :2]}, fw.ShapeError, r"^out\b"),
        ({"lse": LSE[..., None]}, fw.ShapeError, r"^lse: .*\(2, 4, 5\).*\(2, 4, 5, 1\)"),
        ({"lse": LSE.astype(complex)}, fw.DTypeError, r"^lse\b.*complex128"),
        ({"q": Q[..., :8]}, fw.ShapeError, r"^k\b"),
        ({"q": Q[:, :3]}, fw.ShapeError, r"^q\b.*3"),
        ({"mask": np.ones((5, 6), bool)}, fw.ShapeError, r"^mask\b"),
        ({"causal": True}, fw.ShapeError, r"^causal\b"),
        ({"window": 5}, fw.ShapeError, r"^window\b"),
        ({"dropout": 0.5}, fw.ShapeError, r"^seed\b.*None"),
        ({"dropout": 1.5, "seed": 1}, fw.ShapeError, r"^dropout\b"),
        ({"sinks": np.ones(3, np.float32)}, fw.ShapeError, r"^sinks\b"),
        ({"kv_lengths": [1, 8]}, fw.ShapeError, r"^kv_lengths\b"),
        ({"runtime": 1}, fw.DTypeError, r"^runtime\b"),
    ],
)
def test_wrong_arguments(change, error, message):
    given = {"dout": OUT, "q": Q, "k": K, "v": V, "out": OUT, "lse": LSE} | change
    with pytest.raises(error, match=message):
        fw.attention_backward(**given)
