"""The gradient of attention: against the oracle, and the oracle against differences."""

import functools
import itertools
import pickle
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.flash_attention.backward import BackwardInputs, add_gradients
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.flash_attention.schedule import BlockSchedule
from flashwasm.oracles import bounds, reference
from samples import FLOAT_TYPES, assert_same_bits, layouts, normal

HEADS, KEY_HEADS = 4, 2
NAMES = ("dq", "dk", "dv")

OPTIONS = {
    "plain": {},
    "causal": {"causal": "bottom_right"},
    "offset": {"causal": -3},
    "window": {"window": (20, 70)},
    "window left": {"window": (9, None)},
    "window right": {"window": (-1, 3)},
    "window of one": {"window": (0, 0)},
    "causal window": {"window": (30, 30), "causal": "bottom_right"},
    "scale": {"scale": -0.4},
    "softcap": {"softcap": 1.5},
    "alibi": {"alibi_slopes": np.float32([0.5, 0.25, 0.0, -0.1])},
    "sinks": {"sinks": np.float32([0, 3, -2, -np.inf])},
    "lengths": {"kv_lengths": np.array([50, 0])},
    "causal lengths": {"kv_lengths": np.array([50, 17]), "causal": "bottom_right"},
    "offsets": {"causal": np.array([4, -30])},
    "dropout": {"dropout": 0.4, "seed": 2**40 + 3},
}


def qkv(queries=75, keys=139, dim=12, value_dim=9, leading=(2,), heads=HEADS, key_heads=KEY_HEADS):
    return (
        normal(*leading, heads, queries, dim),
        normal(*leading, key_heads, keys, dim, seed=1),
        normal(*leading, key_heads, keys, value_dim, seed=2),
    )


def for_oracle(q, k, options):
    """Return the options with dropout as what it multiplies weights with."""
    options = dict(options)
    p, seed = options.pop("dropout", 0), options.pop("seed", None)
    if p:
        options["kept"] = reference.kept_weights((*q.shape[:-1], k.shape[-2]), p, seed)
    return options


def gradients(q, k, v, *, runtime=None, **options):
    """Return dout and the package's gradients from the package's own output."""
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    dout = normal(*out.shape, seed=3)
    return dout, fw.attention_backward(dout, q, k, v, out, lse, runtime=runtime, **options)


@functools.cache
def expected_and_allowed(pickled):
    """Return the oracle's gradients and the bounds, which are the same for every runtime."""
    operands, options = pickle.loads(pickled)  # noqa: S301 - pickled below.
    return (
        reference.attention_backward(*operands, **options),
        bounds.attention_backward(*operands, **options),
    )


def check(q, k, v, *, runtime=None, **options):
    """Hold the gradients to the oracle's."""
    dout, actual = gradients(q, k, v, runtime=runtime, **options)
    problem = pickle.dumps(((dout, q, k, v), for_oracle(q, k, options)))
    for a, e, bound in zip(actual, *expected_and_allowed(problem), strict=True):
        bounds.assert_close(a, e, bound)
    return actual


def assert_all_same_bits(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(np.ascontiguousarray(a), np.ascontiguousarray(e))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("mask", [None, "boolean", "additive"])
def test_the_oracle_is_the_derivative_of_the_forward_oracle(name, mask):
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


# Around groups of 8 queries, panels of 4 keys, and blocks of 64 of either.
LENGTHS = [(1, 1), (1, 200), (7, 5), (8, 4), (9, 63), (16, 64), (33, 65), (63, 66), (64, 128)]
LENGTHS += [(65, 129), (127, 3), (129, 191), (200, 260)]


@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_lengths(runtime, queries, keys):
    check(*qkv(queries, keys, leading=(), heads=2, key_heads=2), runtime=runtime)


@pytest.mark.parametrize("causal", ["top_left", "bottom_right", 3, -3, 1000, -1000])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
def test_causal(runtime, queries, keys, causal):
    operands = qkv(queries, keys, leading=(), heads=1, key_heads=1)
    check(*operands, causal=causal, runtime=runtime)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33, 64, 96, 200, 256])
def test_head_dimensions(runtime, dim):
    operands = qkv(19, 70, dim, dim, leading=(), heads=1, key_heads=1)
    check(*operands, causal="bottom_right", runtime=runtime)


@pytest.mark.parametrize(("dim", "value_dim"), [(8, 1), (8, 3), (1, 8), (64, 32), (33, 65)])
def test_values_of_another_dimension(runtime, dim, value_dim):
    check(*qkv(19, 70, dim, value_dim), runtime=runtime)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 1), (4, 2), (6, 3), (4, 4)])
@pytest.mark.parametrize("causal", [False, "top_left"])
def test_key_heads_are_shared_by_neighbours(runtime, heads, key_heads, causal):
    operands = qkv(70, 40, heads=heads, key_heads=key_heads)
    check(*operands, causal=causal, runtime=runtime)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3)])
def test_leading_axes(runtime, leading):
    check(*qkv(10, 20, leading=leading), causal="top_left", runtime=runtime)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 1), (3,), (1, 1)),
        ((1, 1), (2, 3), (2, 3)),
        ((2, 3), (), ()),
        ((1, 3), (2, 1), (2, 1)),
    ],
)
def test_gradients_of_what_was_broadcast_are_sums(runtime, shapes):
    sizes = [(4, 70, 8), (2, 11, 8), (2, 11, 5)]
    operands = [
        normal(*lead, *size, seed=i)
        for i, (lead, size) in enumerate(zip(shapes, sizes, strict=True))
    ]
    for x, gradient in zip(operands, check(*operands, runtime=runtime), strict=True):
        assert gradient.shape == x.shape


def test_two_axes_are_one_head(runtime):
    operands = [x[0, 0] for x in qkv(70, 20)]
    actual = check(*operands, causal="top_left", runtime=runtime)
    assert [x.shape for x in actual] == [x.shape for x in operands]
    # A mask may bring leading axes; the gradients are still of what was given.
    mask = normal(3, 1, 70, 20) > 0
    actual = check(*operands, mask=mask, runtime=runtime)
    assert [x.shape for x in actual] == [x.shape for x in operands]


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option(runtime, name):
    check(*qkv(), runtime=runtime, **OPTIONS[name])


@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids=" and ".join)
def test_options_compose(one_thread, pair):
    mask = normal(21, 90, seed=3)
    both = OPTIONS[pair[0]] | OPTIONS[pair[1]]
    options = {"mask": np.where(mask > 1.5, -np.inf, mask), "runtime": one_thread}
    check(*qkv(21, 90), **options, **both)


@pytest.mark.parametrize("shape", [(20, 70), (1, 70), (20, 1), (70,), (2, 4, 20, 70), ()])
@pytest.mark.parametrize("kind", [bool, np.float32])
def test_masks_broadcast(runtime, shape, kind):
    mask = normal(*shape) if kind is np.float32 else normal(*shape) > -0.5
    check(*qkv(20, 70), mask=mask, causal="bottom_right", runtime=runtime)


def test_blocks_without_a_true_key(runtime):
    """Whole blocks of false, for all queries or for some groups of them, between seen ones."""
    mask = normal(150, 330, seed=3) > 0
    mask[:, 64:192] = False
    mask[8:24, 192:256] = False
    mask[40:50] = False
    check(*qkv(150, 330, leading=(), heads=2, key_heads=1), mask=mask, runtime=runtime)


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
    check(*qkv(queries, keys, *dims), seed=5, **options)


@pytest.mark.parametrize("size", [1e-30, 5.0, 30.0])
def test_scores_of_any_size(runtime, size):
    q, k, v = qkv(20, 70)
    check(q * np.float32(size), k, v, runtime=runtime)


def test_weights_never_exceed_one(one_thread):
    """All weight falls on one key, whose score a float32 sum need not be equal to."""
    q, k, v = (normal(1, 40, 16, seed=i) for i in range(3))
    q *= np.float32(1e6)
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=one_thread)
    ones, raised = np.ones_like(out), np.nextafter(lse, np.float32(-np.inf))
    for given in (lse, raised):
        _, _, dv = fw.attention_backward(ones, q, k, v, out, given, runtime=one_thread)
        assert dv.min() >= 0
        assert dv.sum(axis=-2).max() <= 40


@pytest.mark.parametrize("how", ["boolean", "additive", "causal", "no keys", "no queries"])
def test_what_sees_or_is_seen_by_nothing_has_no_gradient(runtime, how):
    q, k, v = qkv(20, 70)
    options = {
        "boolean": {"mask": np.zeros((20, 70), bool)},
        "additive": {"mask": np.full((20, 70), -np.inf, np.float32)},
        "causal": {"causal": -20},
    }.get(how, {})
    if how == "no keys":
        k, v = k[..., :0, :], v[..., :0, :]
    elif how == "no queries":
        q = q[..., :0, :]
    else:
        q[:], k[:], v[:] = np.nan, np.inf, np.nan
    _, actual = gradients(q, k, v, runtime=runtime, **options)
    assert_all_same_bits(actual, [np.zeros_like(x) for x in (q, k, v)])


@pytest.mark.parametrize("shape", [(0, 2, 5, 8), (2, 0, 5, 8)])
def test_no_batch_and_no_heads(runtime, shape):
    x = np.ones(shape, np.float32)
    _, actual = gradients(x, x, x, runtime=runtime)
    assert [g.shape for g in actual] == [shape] * 3
    # An empty batch of queries over keys that do not repeat with it.
    q, k = np.ones((0, 2, 5, 8), np.float32), np.ones((2, 6, 8), np.float32)
    _, actual = gradients(q, k, k, runtime=runtime)
    assert_all_same_bits(actual, [q, np.zeros_like(k), np.zeros_like(k)])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("how", ["boolean", "additive", "causal", "window", "lengths"])
def test_hidden_keys_never_reach_a_gradient(runtime, how, poison):
    q, k, v = qkv(90, 150, leading=(1,))
    hidden, visible = [0, 1, 63, 64, 100, 149], np.ones(150, bool)
    visible[hidden] = False
    options = {"mask": visible}
    if how == "additive":
        options = {"mask": np.where(visible, 0, -np.inf).astype(np.float32)}
    elif how != "boolean":
        hidden = list(range(120, 150))
        options = {"causal": {"causal": 30}, "window": {"window": (None, 30)}}.get(how, {})
        options = options or {"kv_lengths": [120]}
    expected = check(q, k, v, runtime=runtime, **options)
    k[..., hidden, :], v[..., hidden, :] = poison, poison
    _, actual = gradients(q, k, v, runtime=runtime, **options)
    assert_all_same_bits(actual, expected)
    assert not actual[1][..., hidden, :].any()
    assert not actual[2][..., hidden, :].any()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("which", ["q", "k", "v", "dout"])
@pytest.mark.parametrize("how", ["boolean", "causal", "window", "dropout"])
def test_what_sees_nothing_bad_is_untouched(runtime, how, which, poison):
    """One bad row reaches the queries that see it and the keys that those see, and no others."""
    q, k, v = qkv(90, 150, leading=(), heads=2, key_heads=1)
    past = np.arange(150) - np.arange(90)[:, None]
    blocks = np.arange(90)[:, None] // 9 == np.arange(150) // 15
    options, sees = {
        "boolean": ({"mask": blocks}, blocks),
        "causal": ({"causal": -60}, past <= -60),
        "window": ({"window": (5, 5)}, abs(past) <= 5),
        "dropout": ({"mask": blocks, "dropout": 0.5, "seed": 1}, blocks),
    }[how]
    dout, clean = gradients(q, k, v, runtime=runtime, **options)
    {"q": q, "k": k, "v": v, "dout": dout}[which][0, 20 if which in "kv" else 80, 3:5] = poison
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=runtime, **options)
    actual = fw.attention_backward(dout, q, k, v, out, lse, runtime=runtime, **options)
    queries = np.zeros((2, 90), bool)
    if which in "kv":
        queries[:] = sees[:, 20]
    else:
        queries[0, 80] = True
    keys = (queries @ sees).any(axis=0, keepdims=True)
    assert 0 < queries.sum() < 90
    assert 0 < keys.sum() < 100
    for a, c, reached in zip(actual, clean, (queries, keys, keys), strict=True):
        assert_same_bits(a[~reached], c[~reached])
    if np.isnan(poison):
        options = for_oracle(q[None], k[None], options)
        options |= {"kept": options["kept"][0]} if how == "dropout" else {}
        expected = reference.attention_backward(dout, q, k, v, **options)
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(e))


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
    """What a projection gives, (batch, length, heads, dim), seen as (batch, heads, length, dim)."""
    packed = normal(2, 70, 3, 4, 16)
    q, k, v = (packed[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    expected = check(q, k, v, causal=True, runtime=runtime)
    lying = runtime.asarray(packed)
    q, k, v = (lying[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    assert_all_same_bits(check(q, k, v, causal=True, runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    given = [x.astype(dtype) for x in (normal(2, 20, 9, seed=3), *qkv(20, 70, leading=(), heads=2))]
    narrow = [x.astype(np.float32) for x in given]
    out, lse = fw.attention(*narrow[1:], return_lse=True, runtime=runtime)
    expected = fw.attention_backward(*narrow, out, lse, runtime=runtime)
    assert_all_same_bits(fw.attention_backward(*given, out, lse, runtime=runtime), expected)


@pytest.mark.parametrize("causal", [False, "bottom_right"])
def test_bits_do_not_depend_on_what_is_beside(runtime, causal):
    """A batch entry, or a key head with its query heads, alone and among others."""
    q, k, v = qkv(150, 200)
    dout, whole = gradients(q, k, v, causal=causal, runtime=runtime)
    out, lse = fw.attention(q, k, v, causal=causal, return_lse=True, runtime=runtime)
    for wide, narrow in (((1,), (1,)), ((1, slice(2, 4)), (1, slice(1, 2)))):
        alone = fw.attention_backward(
            *(dout[wide], q[wide], k[narrow], v[narrow], out[wide], lse[wide]),
            causal=causal,
            runtime=runtime,
        )
        assert_all_same_bits(alone, (whole[0][wide], whole[1][narrow], whole[2][narrow]))


@pytest.mark.parametrize("options", [{}, {"causal": "top_left", "dropout": 0.2, "seed": 1}])
@pytest.mark.parametrize(("heads", "key_heads"), [(1, 1), (5, 5), (6, 2)])
def test_bits_do_not_depend_on_threads(threaded_runtime, one_thread, heads, key_heads, options):
    operands = qkv(150, 260, heads=heads, key_heads=key_heads)
    expected = gradients(*operands, runtime=one_thread, **options)[1]
    assert_all_same_bits(gradients(*operands, runtime=threaded_runtime, **options)[1], expected)


def test_bits_do_not_depend_on_threads_where_batch_entries_share_keys(threaded_runtime, one_thread):
    q, k, v = normal(5, 4, 70, 8), normal(2, 90, 8, seed=1), normal(1, 2, 90, 8, seed=2)
    expected = gradients(q, k, v, runtime=one_thread)[1]
    assert_all_same_bits(gradients(q, k, v, runtime=threaded_runtime)[1], expected)


def begun(causal, lead=(2,)):
    """Return a problem whose gradients are zeros so far."""
    q, k, v = qkv(200, 330, leading=lead)
    k = k[:1] if lead else k  # Batch entries share the keys.
    options = {"causal": causal, "mask": normal(200, 330, seed=4) > -1, "dropout": 0.1, "seed": 6}
    out, lse = fw.attention(q, k, v, return_lse=True, **options)
    p = checked_inputs(q, k, v, {**DEFAULTS, **options})
    zeros = replace(p, q=np.zeros_like(p.q), k=np.zeros_like(p.k), v=np.zeros_like(p.v))
    return BackwardInputs(p, zeros, normal(*out.shape, seed=3), out, lse)


def sums(b):
    return b.gradients.q, b.gradients.k, b.gradients.v


@pytest.mark.parametrize("causal", [False, "bottom_right", -100])
@pytest.mark.parametrize(
    "schedule",
    [
        BlockSchedule(1, 64, 330),
        BlockSchedule(2, 200, 330),
        BlockSchedule(1, 64, 64),
        BlockSchedule(1, 128, 128),
    ],
    ids=str,
)
def test_chunk_sizes_change_no_bit(runtime, causal, schedule):
    whole, cut = begun(causal), begun(causal)
    add_gradients(runtime, whole, None)
    add_gradients(runtime, cut, None, schedule)
    assert_all_same_bits(sums(cut), sums(whole))


@pytest.mark.parametrize("lead", [(2,), ()])
def test_parts_of_a_problem_change_no_bit(runtime, lead):
    """By batch entry, key head, query head and query, each part adds to what the last one left."""
    whole, cut = begun("bottom_right", lead), begun("bottom_right", lead)
    add_gradients(runtime, whole, None)
    pending = [cut]
    for _ in range(6):
        pending = [part for b in pending for part in (list(b.halves()) or [b])]
    assert len(pending) >= 32
    for part in pending:
        add_gradients(runtime, part, None)
    assert_all_same_bits(sums(cut), sums(whole))


def test_larger_than_memory(one_thread):
    """Memory for one batch entry, for one key head, for some of its queries."""
    operands = qkv(900, 500, 32, 32)
    expected = gradients(*operands, causal="bottom_right", runtime=one_thread)[1]
    for quarters in (14, 10, 9, 7, 6):
        with fw.Runtime(threads=1, max_memory=quarters << 18) as small:
            actual = gradients(*operands, causal="bottom_right", runtime=small)[1]
            assert_all_same_bits(actual, expected)
    with (
        fw.Runtime(threads=1, max_memory=5 << 18) as small,
        pytest.raises(fw.OutOfMemoryError, match=r"\d+ bytes.*in use.*allowed"),
    ):
        gradients(*operands, runtime=small)


def test_resident_operands_are_not_copied(one_thread):
    q, k, v = qkv(70, 90)
    dout, expected = gradients(q, k, v, runtime=one_thread)
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=one_thread)
    given = [one_thread.asarray(x) for x in (dout, q, k, v, out, lse)]
    before = one_thread.stats().copy_seconds
    actual = fw.attention_backward(*given, runtime=one_thread)
    assert one_thread.stats().copy_seconds == before
    assert all(map(one_thread.holds, actual))
    assert_all_same_bits(actual, expected)


def test_memory_for_operands_and_gradients_only():
    """The matrix of scores would be 64 MiB: what is used beyond the operands is O(length)."""
    x = normal(4096, 32)
    out, lse = fw.attention(x, x, x, return_lse=True)
    with fw.Runtime(threads=1) as rt:
        fw.attention_backward(x, x, x, x, out, lse, runtime=rt)
        assert rt.stats().bytes_peak <= 8 * x.nbytes + lse.nbytes + 64 * 4096


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


# Deliberate mistakes, as in test_mutations.py: each has to be found out by the bounds.


def formula(dout, q, k, v, mistake="", **options):
    """Return the gradients by matrices, with a mistake."""
    cap = options.get("softcap")
    out, lse = reference.attention(q, k, v, **options)
    sinks, kept = options.pop("sinks", None), options.pop("kept", 1.0)
    if mistake == "log-sum-exp without sinks" and sinks is not None:
        lse = reference.attention(q, k, v, **options)[1]
    scores = reference.attention_scores(q, k, **options)
    with np.errstate(invalid="ignore"):
        p = np.where(np.isneginf(scores), 0, np.exp(scores - lse[..., None]))
    k, v = (np.repeat(x, 2, axis=-3).astype(np.float64) for x in (k, v))
    scale = 1.0 if mistake == "no scale" else q.shape[-1] ** -0.5
    delta = 0 if mistake == "no delta" else (dout * out).sum(axis=-1, keepdims=True)
    dp = (1.0 if mistake == "dp without dropout" else kept) * (dout @ v.swapaxes(-1, -2))
    ds = p * (dp - delta) * scale
    if cap and mistake != "no slope":
        plain = reference.attention_scores(q, k, softcap=cap, stage="softcap")
        ds = ds * (1 - (plain / cap) ** 2)
    if mistake == "half precision":
        ds = ds.astype(np.float16).astype(np.float64)
    weights = p if mistake == "dv without dropout" else p * kept
    dk, dv = ds.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ dout
    if mistake == "one head of a group":
        return ds @ k, dk[..., ::2, :, :], dv[..., ::2, :, :]
    dk, dv = (x.reshape(2, 2, 2, *x.shape[-2:]).sum(axis=2) for x in (dk, dv))
    return ds @ k, dk, dv


MISTAKES = ["no scale", "no delta", "no slope", "half precision", "one head of a group"]
MISTAKES += ["log-sum-exp without sinks", "dp without dropout", "dv without dropout"]


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
def test_a_mistake_is_found_out(mistake):
    operands = qkv()
    dout, within = normal(2, HEADS, 75, 9, seed=3), True
    for name in ("causal", "softcap", "sinks", "dropout"):
        options = for_oracle(*operands[:2], OPTIONS[name])
        expected = expected_and_allowed(pickle.dumps(((dout, *operands), options)))
        actual = formula(dout, *operands, mistake, **options)
        for a, e, bound in zip(actual, *expected, strict=True):
            within = within and bool((np.abs(a - e) <= bound).all())
    assert within is (mistake == "")
