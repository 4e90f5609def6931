"""The options of attention, alone and together; packed sequences, merging and scores."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flashwasm as fw
from attention_checks import assert_close_to_oracle, check_attention
from flashwasm.oracles import reference
from sample_arrays import assert_same_bits, normal

HEADS, KEY_HEADS = 4, 2

OPTIONS = {
    "window": {"window": (20, 70)},
    "window left": {"window": (9, None)},
    "window right": {"window": (-1, 3)},
    "window of one": {"window": (0, 0)},
    "causal window": {"window": (30, 30), "causal": "bottom_right"},
    "softcap": {"softcap": 1.5},
    "alibi": {"alibi_slopes": np.float32([0.5, 0.25, 0.0, -0.1])},
    "causal alibi": {"alibi_slopes": np.float32([0.5, 0.25, 0.1, 2]), "causal": "bottom_right"},
    "sinks": {"sinks": np.float32([0, 3, -2, -np.inf])},
    "lengths": {"kv_lengths": np.array([150, 0])},
    "causal lengths": {"kv_lengths": np.array([150, 67]), "causal": "bottom_right"},
    "offsets": {"causal": np.array([40, -30])},
}


def operands(queries=75, keys=201, dim=24):
    q, k = normal(2, HEADS, queries, dim), normal(2, KEY_HEADS, keys, dim, seed=1)
    return q, k, normal(2, KEY_HEADS, keys, 17, seed=2)


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option(runtime, name):
    check_attention(*operands(), **OPTIONS[name], runtime=runtime)


@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids=" and ".join)
def test_options_compose(pair):
    both = OPTIONS[pair[0]] | OPTIONS[pair[1]]
    mask = normal(41, 160, seed=3)
    q, k, v = operands(queries=41, keys=160)
    check_attention(q, k, v, mask=np.where(mask > 1.5, -np.inf, mask), **both)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sizes_and_options(data):
    queries, keys = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 150))
    side = st.one_of(st.none(), st.integers(0, 160))
    options = {
        "causal": data.draw(st.sampled_from([False, "top_left", "bottom_right", 7, -150])),
        "window": data.draw(st.tuples(side, side)),
        "softcap": data.draw(st.sampled_from([None, 0.0, 0.3, 30.0])),
        "kv_lengths": np.array(data.draw(st.tuples(*[st.integers(0, keys)] * 2))),
        "sinks": data.draw(st.sampled_from([None, normal(HEADS, seed=5)])),
    }
    check_attention(*operands(queries, keys, 5), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("window", [(3, 0), (40, 40), (0, None)])
def test_keys_outside_a_window_never_count(runtime, value, window):
    q, k, v = operands()
    for i in (0, 40, 74):
        hidden = np.ones(k.shape[-2], bool)
        reach = k.shape[-2] if window[1] is None else i + window[1] + 1
        hidden[max(i - window[0], 0) : reach] = False
        k_bad, v_bad = np.copy(k), np.copy(v)
        k_bad[..., hidden, :], v_bad[..., hidden, :] = value, value
        one = {"window": window, "runtime": runtime}
        clean = fw.attention(q, k, v, **one)
        assert_same_bits(fw.attention(q, k_bad, v_bad, **one)[..., i, :], clean[..., i, :])


def test_blocks_without_a_true_key(runtime):
    """Blocks of keys that no query sees, or that some queries do not see, lie between seen ones."""
    q, k, v = operands(queries=300, keys=450)
    mask = normal(300, 450, seed=3) > 0
    mask[:, 64:192] = False
    mask[8:24, 192:320] = False
    mask[40:50] = False
    check_attention(q, k, v, mask=mask, runtime=runtime)


@pytest.mark.parametrize("causal", [False, "top_left", "bottom_right", 5])
def test_varlen_is_attention_on_each_sequence(runtime, causal):
    lengths_q, lengths_k = [3, 0, 130, 64, 1], [5, 9, 70, 0, 200]
    cu_q, cu_k = np.cumsum([0, *lengths_q]), np.cumsum([0, *lengths_k])
    q, k = normal(cu_q[-1], HEADS, 16), normal(cu_k[-1], KEY_HEADS, 16, seed=1)
    v = normal(cu_k[-1], KEY_HEADS, 9, seed=2)
    options = {"causal": causal, "window": (50, 60), "softcap": 2.0, "runtime": runtime}
    options |= {"alibi_slopes": normal(HEADS, seed=3), "sinks": normal(HEADS, seed=4)}
    out, lse = fw.attention_varlen(q, k, v, cu_q, cu_k, return_lse=True, **options)
    for i in range(len(lengths_q)):
        rows, keys = slice(cu_q[i], cu_q[i + 1]), slice(cu_k[i], cu_k[i + 1])
        parts = (x.swapaxes(0, 1) for x in (q[rows], k[keys], v[keys]))
        alone, alone_lse = fw.attention(*parts, return_lse=True, **options)
        assert_same_bits(np.ascontiguousarray(out[rows].swapaxes(0, 1)), alone)
        assert_same_bits(np.ascontiguousarray(lse[:, rows]), alone_lse)


@pytest.mark.parametrize(("lengths", "keys"), [([300, 1, 0, 500, 2], 1300), ([1, 1], 40_000)])
def test_varlen_bits_do_not_depend_on_threads(threaded_runtime, one_thread, lengths, keys):
    """Sequences of one query with many keys have partial results, which a last call merges."""
    cu_q, cu_k = np.cumsum([0, *lengths]), np.arange(len(lengths) + 1) * keys
    q, k = normal(cu_q[-1], HEADS, 16), normal(cu_k[-1], KEY_HEADS, 16, seed=1)
    several, one = (
        fw.attention_varlen(q, k, k, cu_q, cu_k, return_lse=True, runtime=runtime)
        for runtime in (threaded_runtime, one_thread)
    )
    assert_same_bits(several[0], one[0])
    assert_same_bits(several[1], one[1])


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"cu_seqlens_q": [0, 5]}, "cu_seqlens_q"),
        ({"cu_seqlens_q": [0, 7, 6, 8]}, "cu_seqlens_q"),
        ({"cu_seqlens_k": [0, 8]}, "cu_seqlens_k"),
        ({"cu_seqlens_k": [0.0, 3.0, 8.0]}, "cu_seqlens_k"),
        ({"k": normal(8, 3, 4)}, "q"),
        ({"causal": True, "cu_seqlens_k": [0, 2, 8]}, "causal"),
    ],
)
def test_varlen_refuses_wrong_arguments(change, argument):
    x = normal(8, 2, 4)
    given = {"q": x, "k": x, "v": x, "cu_seqlens_q": [0, 3, 8]} | change
    if "k" in change:
        given["v"] = change["k"]
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=f"^{argument}"):
        fw.attention_varlen(**given)


@pytest.mark.parametrize("cuts", [[], [100], [64, 128], [1, 2, 3, 200], [0, 201]])
def test_merged_parts_are_the_whole(runtime, cuts):
    q, k, v = operands()
    mask = normal(75, 201, seed=3) > 0.8
    mask[5] = False
    edges, one = [0, *cuts, 201], {"return_lse": True, "runtime": runtime}
    whole = fw.attention(q, k, v, mask=mask, **one)
    parts = [
        fw.attention(q, k[..., a:b, :], v[..., a:b, :], mask=mask[:, a:b], **one)
        for a, b in itertools.pairwise(edges)
    ]
    out, lse = fw.merge_attention(*zip(*parts, strict=True))
    assert_close_to_oracle(out, lse, q, k, v, mask=mask)
    np.testing.assert_array_equal(np.isneginf(lse), np.isneginf(whole[1]))
    assert not out[..., 5, :].any()


def test_merging_refuses_wrong_arguments():
    out, lse = normal(3, 4), normal(3)
    for outs, lses in (([], []), ([out], []), ([out, out[:2]], [lse, lse[:2]]), ([out], [out])):
        with pytest.raises(fw.ShapeError, match=r"^(outs|lses)"):
            fw.merge_attention(outs, lses)


@pytest.mark.parametrize("stage", ["raw", "softcap", "bias", "softmax"])
@pytest.mark.parametrize("name", [n for n in OPTIONS if n != "sinks"])
def test_scores_after_each_step(runtime, stage, name):
    q, k, _ = operands()
    mask = normal(HEADS, 75, 201, seed=3)
    actual = fw.attention_scores(q, k, stage=stage, mask=mask, runtime=runtime, **OPTIONS[name])
    expected = reference.attention_scores(q, k, stage=stage, mask=mask, **OPTIONS[name])
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


def test_scores_leave_room_for_sinks():
    q, k, _ = operands()
    weights = fw.attention_scores(q, k, sinks=np.float32([0, 3, -2, -np.inf]))
    totals = weights.sum(-1)
    assert (totals[:, :3] < 1).all()
    np.testing.assert_allclose(totals[:, 3], 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "argument", "error"),
    [
        ({"window": 5}, "window", fw.ShapeError),
        ({"window": (1, 2, 3)}, "window", fw.ShapeError),
        ({"window": (-2, 0)}, "window", fw.ShapeError),
        ({"window": (1.5, 0)}, "window", fw.DTypeError),
        ({"window": "ab"}, "window", fw.ShapeError),
        ({"softcap": -1.0}, "softcap", fw.ShapeError),
        ({"softcap": np.nan}, "softcap", fw.ShapeError),
        ({"softcap": "1"}, "softcap", fw.DTypeError),
        ({"alibi_slopes": np.ones(3, np.float32)}, "alibi_slopes", fw.ShapeError),
        ({"alibi_slopes": [1, 2, 3, 4]}, "alibi_slopes", fw.DTypeError),
        ({"sinks": np.ones((2, 4), np.float32)}, "sinks", fw.ShapeError),
        ({"kv_lengths": [1, 202]}, "kv_lengths", fw.ShapeError),
        ({"kv_lengths": [-1, 2]}, "kv_lengths", fw.ShapeError),
        ({"kv_lengths": [1, 2, 3]}, "kv_lengths", fw.ShapeError),
        ({"kv_lengths": [1.0, 2.0]}, "kv_lengths", fw.DTypeError),
    ],
)
def test_wrong_options(change, argument, error):
    with pytest.raises(error, match=f"^{argument}"):
        fw.attention(*operands(), **change)
