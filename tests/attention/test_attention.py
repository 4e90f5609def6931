"""Attention compared with its oracle, for all sizes, heads, offsets and layouts; equal bits."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from attention_checks import check_attention, qkv
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal

# Lengths around groups of 8 queries, blocks of 128 queries, and blocks of 64 keys.
LENGTHS = [
    (1, 1),
    (1, 200),
    (7, 5),
    (8, 4),
    (9, 63),
    (16, 64),
    (33, 65),
    (127, 128),
    (128, 129),
    (129, 191),
    (257, 300),
]


@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_lengths(runtime, queries, keys):
    check_attention(*qkv(queries=queries, keys=keys), runtime=runtime)


@pytest.mark.parametrize("causal", ["top_left", "bottom_right", 0, 3, -3, 1000, -1000])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_causal(runtime, queries, keys, causal):
    check_attention(*qkv(queries=queries, keys=keys, heads=1), causal=causal, runtime=runtime)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 64, 80, 96, 128, 200, 256])
def test_head_dimensions(runtime, dim):
    check_attention(*qkv(queries=19, keys=70, dim=dim), causal="bottom_right", runtime=runtime)


@pytest.mark.parametrize(
    ("dim", "value_dim"), [(8, 1), (8, 3), (1, 8), (64, 32), (33, 65), (256, 4)]
)
def test_values_of_another_dimension(runtime, dim, value_dim):
    check_attention(*qkv(queries=19, keys=70, dim=dim, value_dim=value_dim), runtime=runtime)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 1), (4, 2), (6, 3), (4, 4)])
@pytest.mark.parametrize("causal", [False, "top_left"])
def test_neighbouring_query_heads_share_a_key_head(runtime, heads, key_heads, causal):
    operands = qkv(queries=12, keys=70, leading=(2,), heads=heads, key_heads=key_heads)
    check_attention(*operands, causal=causal, runtime=runtime)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3)])
def test_leading_axes(runtime, leading):
    check_attention(*qkv(queries=10, keys=20, leading=leading), causal="top_left", runtime=runtime)


def test_leading_axes_broadcast(runtime):
    q = normal(2, 1, 4, 9, 8)
    k, v = normal(3, 2, 11, 8, seed=1), normal(1, 1, 2, 11, 5, seed=2)
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime)
    assert out.shape == (2, 3, 4, 9, 5)
    assert lse.shape == (2, 3, 4, 9)
    for i, j in np.ndindex(2, 3):
        single = fw.attention(q[i, 0], k[j], v[0, 0], return_lse=True, runtime=runtime)
        assert_same_bits(out[i, j], single[0])
        assert_same_bits(lse[i, j], single[1])


def test_two_axes_are_one_head(runtime):
    q, k, v = (x[0] for x in qkv(queries=9, keys=20))
    out, lse = check_attention(q, k, v, causal="top_left", runtime=runtime)
    assert out.shape == (9, 16)
    assert lse.shape == (9,)


def test_a_mask_may_bring_leading_axes(runtime):
    q, k, v = (x[0] for x in qkv(queries=9, keys=20))
    mask = normal(3, 1, 9, 20) > 0
    out = fw.attention(q, k, v, mask=mask, runtime=runtime)
    assert out.shape == (3, 1, 9, 16)
    for row in range(3):
        single = fw.attention(q, k, v, mask=mask[row, 0], runtime=runtime)
        assert_same_bits(out[row, 0], single)


def test_an_offset_for_each_batch_entry(runtime):
    q, k, v = qkv(queries=20, keys=90, leading=(5,))
    offsets = np.array([0, 70, -7, 200, -200])
    out, lse = check_attention(q, k, v, causal=offsets, runtime=runtime)
    for row, offset in enumerate(offsets.tolist()):
        single = fw.attention(q[row], k[row], v[row], causal=offset, runtime=runtime)
        assert_same_bits(out[row], single)
    assert (lse[4] == -np.inf).all()


@pytest.mark.parametrize("scale", [0.0, 1.0, -0.5, 1e-3, 30.0])
def test_scale(runtime, scale):
    check_attention(*qkv(queries=20, keys=70), scale=scale, runtime=runtime)


@pytest.mark.parametrize("size", [1e-30, 30.0, 1e4])
def test_scores_of_any_size(runtime, size):
    """The largest scores differ by far more than exp resolves: one key takes all the weight."""
    q, k, v = qkv(queries=20, keys=70)
    check_attention(q * np.float32(size), k, v, runtime=runtime)


def test_rising_scores_rescale_the_sums_so_far(runtime):
    """Scores rise from each block of keys to the next, or fall, or are all the same."""
    _, _, v = qkv(queries=16, keys=300, dim=1, heads=1)
    q = np.ones((1, 16, 1), np.float32)
    ramp = np.linspace(-60, 60, 300, dtype=np.float32)[None, :, None]
    for k in (ramp, ramp[:, ::-1], np.zeros_like(ramp)):
        check_attention(q, k, v, scale=1.0, runtime=runtime)


@pytest.mark.parametrize("shape", [(2, 0, 16), (0, 5, 16)])
def test_no_queries(runtime, shape):
    q = np.ones(shape, np.float32)
    k = np.ones((shape[0], 7, 16), np.float32)
    out, lse = fw.attention(q, k, k, return_lse=True, runtime=runtime)
    assert out.shape == shape
    assert lse.shape == shape[:-1]


@pytest.mark.parametrize("layout", [name for name, _ in layouts(normal(1, 1))])
def test_layouts(runtime, layout):
    operands = qkv(queries=20, keys=70)
    mask = normal(2, 20, 70)
    expected = fw.attention(*operands, mask=mask, runtime=runtime)
    relaid = [dict(layouts(x))[layout] for x in (*operands, mask)]
    assert_same_bits(fw.attention(*relaid[:3], mask=relaid[3], runtime=runtime), expected)


def test_heads_that_lie_side_by_side(runtime):
    """A projection's (batch, length, heads, dim) is a view of (batch, heads, length, dim)."""
    packed = normal(2, 20, 3, 4, 16)
    q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    check_attention(q, k, v, causal=True, runtime=runtime)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    operands = [x.astype(dtype) for x in qkv(queries=20, keys=70)]
    expected = fw.attention(*(x.astype(np.float32) for x in operands), runtime=runtime)
    assert_same_bits(fw.attention(*operands, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_sizes_and_options(runtime, data):
    queries, keys = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 150))
    dim, value_dim = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    key_heads, group = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    leading = tuple(data.draw(st.lists(st.integers(1, 2), max_size=2)))
    operands = qkv(
        queries=queries,
        keys=keys,
        dim=dim,
        value_dim=value_dim,
        leading=leading,
        heads=key_heads * group,
        key_heads=key_heads,
    )
    causal = data.draw(
        st.one_of(st.sampled_from([False, "top_left", "bottom_right"]), st.integers(-50, 50))
    )
    mask = data.draw(st.sampled_from([None, normal(queries, keys), normal(queries, keys) > 0]))
    check_attention(*operands, causal=causal, mask=mask, runtime=runtime)


@pytest.mark.parametrize("causal", [False, "bottom_right"])
def test_bits_do_not_depend_on_other_entries_heads_or_queries(runtime, causal):
    """A batch entry, a head, or some queries have the same bits alone as among others."""
    q, k, v = qkv(queries=200, keys=200, leading=(2,), heads=4, key_heads=2)
    whole, whole_lse = fw.attention(q, k, v, causal=causal, return_lse=True, runtime=runtime)
    alone = fw.attention(q[1], k[1], v[1], causal=causal, runtime=runtime)
    assert_same_bits(alone, whole[1])
    head = fw.attention(q[1, 2], k[1, 1], v[1, 1], causal=causal, runtime=runtime)
    assert_same_bits(head, whole[1, 2])
    for first, last in [(0, 1), (5, 6), (7, 20), (100, 200), (199, 200)]:
        # Query i of the part is query first + i of the whole.
        part_causal = first if causal else False
        part, part_lse = fw.attention(
            q[:, :, first:last], k, v, causal=part_causal, return_lse=True, runtime=runtime
        )
        assert_same_bits(part, whole[:, :, first:last])
        assert_same_bits(part_lse, whole_lse[:, :, first:last])


@pytest.mark.parametrize("dim", [16, 256])
@pytest.mark.parametrize("causal", [False, 0])
def test_bits_do_not_depend_on_how_many_queries_share_packed_keys(runtime, causal, dim):
    """The kernel packs keys once for up to 512 queries, and for fewer of the greatest dimension."""
    q, k, v = qkv(queries=1030, keys=600, dim=dim, heads=1, key_heads=1)
    whole = fw.attention(q, k, v, causal=causal, runtime=runtime)
    for first, last in [(0, 30), (240, 270), (500, 530), (512, 1030)]:
        part_causal = first if causal is not False else False
        part = fw.attention(q[:, first:last], k, v, causal=part_causal, runtime=runtime)
        assert_same_bits(part, whole[:, first:last])


@pytest.mark.parametrize("causal", [False, "top_left"])
@pytest.mark.parametrize("heads", [1, 2, 5])
def test_bits_do_not_depend_on_threads(threaded_runtime, one_thread, heads, causal):
    operands = qkv(queries=300, keys=260, heads=heads)
    assert_same_bits(
        fw.attention(*operands, causal=causal, runtime=threaded_runtime),
        fw.attention(*operands, causal=causal, runtime=one_thread),
    )


def test_out(runtime):
    q, k, v = qkv(queries=20, keys=70)
    expected = fw.attention(q, k, v, runtime=runtime)
    out = np.full((2, 20, 16), np.nan, np.float32)
    assert fw.attention(q, k, v, out=out, runtime=runtime) is out
    assert_same_bits(out, expected)
    fw.attention(q, k, v, out=q, runtime=runtime)
    assert_same_bits(q, expected)


Q, K, V = qkv(queries=5, keys=7, leading=(2,), heads=4, key_heads=2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((Q[..., :8], K, V), {}, fw.ShapeError, r"\b[qk]\b"),
        ((Q, K, V[..., :6, :]), {}, fw.ShapeError, r"\b[kv]\b"),
        ((Q, K, V[:, :1]), {}, fw.ShapeError, r"\b[kv]\b"),
        ((Q[:, :3], K, V), {}, fw.ShapeError, r"\b[qk]\b.*3"),
        ((Q, K[:, :0], V[:, :0]), {}, fw.ShapeError, r"\b[kv]\b"),
        ((Q, np.concatenate([K, K[:1]]), V), {}, fw.ShapeError, r"\b[qkv]\b"),
        ((Q[0, 0, 0], K, V), {}, fw.ShapeError, r"\bq\b"),
        ((Q[0, 0], K[0], V[0]), {}, fw.ShapeError, r"\b[qk]\b"),
        ((normal(2, 4, 5, 257), normal(2, 2, 7, 257), V), {}, fw.ShapeError, r"\bq\b.*257"),
        ((Q, K, normal(2, 2, 7, 257)), {}, fw.ShapeError, r"\bv\b.*257"),
        ((np.ones(Q.shape, int), K, V), {}, fw.DTypeError, r"\bq\b.*int64"),
        ((Q, K.astype(complex), V), {}, fw.DTypeError, r"\bk\b.*complex128"),
        ((Q, K, V.astype(bool)), {}, fw.DTypeError, r"\bv\b.*bool"),
        ((Q, K, V), {"mask": np.ones((5, 6), bool)}, fw.ShapeError, r"\bmask\b"),
        ((Q, K, V), {"mask": np.ones((3, 1, 5, 7), bool)}, fw.ShapeError, r"\bmask\b"),
        ((Q, K, V), {"mask": np.ones((5, 7), int)}, fw.DTypeError, r"\bmask\b.*int64"),
        ((Q, K, V), {"causal": True}, ValueError, r"top_left.*bottom_right"),
        ((Q, K, V), {"causal": "left"}, ValueError, r"\bcausal\b.*left"),
        ((Q, K, V), {"causal": 0.5}, TypeError, r"\bcausal\b"),
        ((Q, K, V), {"causal": np.zeros(3, int)}, fw.ShapeError, r"\bcausal\b"),
        ((Q, K, V), {"causal": np.zeros(2)}, TypeError, r"\bcausal\b"),
        ((Q, K, V), {"scale": float("nan")}, ValueError, r"\bscale\b"),
        ((Q, K, V), {"scale": "big"}, TypeError, r"\bscale\b"),
        ((Q, K, V), {"out": np.empty((2, 4, 5, 8), np.float32)}, fw.ShapeError, r"\bout\b"),
        ((Q, K, V), {"out": np.empty((2, 4, 5, 16))}, fw.DTypeError, r"\bout\b.*float64"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        fw.attention(*arguments, **options)
