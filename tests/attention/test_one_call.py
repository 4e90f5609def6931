"""Attention of small resident arrays in a single call has the bits and errors of a launch."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.flash_attention import one_call
from sample_arrays import assert_same_bits, normal

# Shapes of q, k and v: sizes about the tiles; groups of heads; other lengths; leading axes of one.
SHAPES = [
    ((1, 1, 64), (1, 64, 64), (1, 64, 64)),
    ((16, 64), (16, 64), (16, 64)),
    ((12, 17, 32), (4, 33, 32), (4, 33, 20)),
    ((1, 1, 8, 129, 5), (1, 1, 2, 65, 5), (1, 1, 2, 65, 7)),
    ((2, 3, 8), (2, 0, 8), (2, 0, 4)),
    ((2, 0, 8), (2, 5, 8), (2, 5, 4)),
    ((3, 7, 8), (3, 5, 8), (3, 5, 0)),
]


def by_launch(q, k, v, **options):
    """Return the result of the usual way, which a timeout asks for."""
    return fw.attention(q, k, v, timeout=60, **options)


def resident(runtime, shapes):
    return [runtime.asarray(normal(*shape, seed=i)) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("causal", [False, "top_left", "bottom_right"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_the_bits_are_those_of_a_launch(runtime, shapes, causal):
    q, k, v = resident(runtime, shapes)
    expected = np.array(by_launch(q, k, v, causal=causal, runtime=runtime))
    at_once = one_call.attend_at_once(runtime, q, k, v, None, {"causal": causal})
    assert_same_bits(at_once, expected)
    for _ in range(2):
        result = fw.attention(q, k, v, causal=causal, runtime=runtime)
        assert_same_bits(result, expected)
        assert runtime.holds(result)
    out = runtime.empty(expected.shape)
    assert fw.attention(q, k, v, causal=causal, out=out, runtime=runtime) is out
    assert_same_bits(out, expected)


def test_calls_that_need_a_launch_are_left_to_it(runtime):
    q, k, v = resident(runtime, [(2, 70, 16)] * 3)
    empty = runtime.empty((2, 70, 16))
    small = {"q": q, "k": k, "v": v, "out": None, "options": {}}
    batch = resident(runtime, [(2, 2, 70, 16)] * 3)
    read_only = runtime.empty((2, 70, 16))
    read_only.flags.writeable = False
    assert one_call.attend_at_once(runtime, **small) is not None
    for change in (
        {"q": np.array(q)},
        {"q": q[:, :5]},
        {"k": [[1.0]]},
        {"out": q},
        {"out": np.array(q)},
        {"out": empty[:1]},
        {"out": read_only},
        {"options": {"scale": 2.0}},
        {"options": {"causal": 1}},
        {"options": {"causal": np.zeros((), int)}},
        {"q": q[:, :1].copy()},
        dict(zip("qkv", batch, strict=True)),
    ):
        assert one_call.attend_at_once(runtime, **{**small, **change}) is None, change


def test_work_for_several_threads_is_left_to_a_launch(threaded_runtime):
    q, k, v = resident(threaded_runtime, [(4, 300, 64)] * 3)
    assert one_call.attend_at_once(threaded_runtime, q, k, v, None, {}) is None
    by_launch(q, k, v, runtime=threaded_runtime)


def test_an_output_may_be_an_operand(runtime):
    q, k, v = resident(runtime, [(2, 9, 16)] * 3)
    expected = np.array(by_launch(q, k, v, runtime=runtime))
    for place in (q, k, v):
        kept = place.copy()
        assert_same_bits(fw.attention(q, k, v, out=place, runtime=runtime), expected)
        place[...] = kept


def test_errors_are_those_of_a_launch():
    runtime = fw.Runtime(threads=1)
    q, k, v = resident(runtime, [(2, 9, 16), (3, 9, 16), (3, 9, 16)])
    with pytest.raises(fw.ShapeError, match="q: expected a multiple of the 3 heads"):
        fw.attention(q, k, v, runtime=runtime)
    with pytest.raises(fw.ShapeError, match="out"):
        fw.attention(q, q, q, out=runtime.empty((2, 9, 15)), runtime=runtime)
    with pytest.raises(fw.ShapeError, match="causal"):
        fw.attention(q, q, q, causal="lower_right", runtime=runtime)
    with pytest.raises(TypeError, match="is_causal"):
        fw.attention(q, q, q, is_causal=True, runtime=runtime)
    runtime.close()
    with pytest.raises(fw.ClosedError):
        fw.attention(q, q, q, runtime=runtime)


def test_prepared_calls_are_bounded_in_number(runtime, monkeypatch):
    monkeypatch.setattr(one_call, "_MOST_PREPARED", 3)
    for rows in range(1, 9):
        q = runtime.asarray(normal(1, rows, 4))
        fw.attention(q, q, q, runtime=runtime)
        assert len(one_call._prepared) <= 3  # noqa: SLF001 - there is no public way to see it.
