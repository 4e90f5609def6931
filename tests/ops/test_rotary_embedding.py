"""rotary_embedding: against float64, in both layouts of heads and of pairs."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def turns(*shape):
    """Return the cosines and sines of random angles."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, shape)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def check(x, cos, sin, *, runtime=None, **options):
    actual = fw.rotary_embedding(x, cos, sin, runtime=runtime, **options)
    bounds.assert_close(
        actual,
        reference.rotary_embedding(x, cos, sin, **options),
        bounds.rotary_embedding(x, cos, sin, **options),
    )
    return actual


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dim", [2, 4, 6, 8, 10, 16, 18, 64, 256])
def test_head_dimensions(runtime, dim, interleaved):
    check(normal(2, 3, 5, dim), *turns(2, 5, dim // 2), interleaved=interleaved, runtime=runtime)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotary_dim", [2, 4, 8, 12])
def test_part_of_the_head_is_rotated(runtime, rotary_dim, interleaved):
    x = normal(2, 3, 5, 12)
    actual = check(
        x,
        *turns(2, 5, rotary_dim // 2),
        interleaved=interleaved,
        rotary_dim=rotary_dim,
        runtime=runtime,
    )
    assert_same_bits(actual[..., rotary_dim:], x[..., rotary_dim:])


@pytest.mark.parametrize("interleaved", [False, True])
def test_positions_choose_rows_of_the_tables(runtime, interleaved):
    positions = np.random.default_rng(0).integers(0, 50, (2, 5))
    check(
        normal(2, 3, 5, 8),
        *turns(50, 4),
        position_ids=positions,
        interleaved=interleaved,
        runtime=runtime,
    )


def test_heads_side_by_side(runtime):
    x = normal(2, 5, 24)
    cos, sin = turns(2, 5, 4)
    flat = check(x, cos, sin, num_heads=3, runtime=runtime)
    heads = x.reshape(2, 5, 3, 8).transpose(0, 2, 1, 3)
    apart = fw.rotary_embedding(heads, cos, sin, runtime=runtime)
    assert_same_bits(flat, apart.transpose(0, 2, 1, 3).reshape(2, 5, 24))


def test_angle_zero_changes_nothing(runtime):
    x = normal(1, 2, 3, 8)
    ones, zeros = np.ones((1, 3, 4), np.float32), np.zeros((1, 3, 4), np.float32)
    assert_same_bits(fw.rotary_embedding(x, ones, zeros, runtime=runtime), x)


@pytest.mark.parametrize("shape", [(0, 3, 5, 8), (2, 0, 5, 8), (2, 3, 0, 8)])
def test_empty(runtime, shape):
    x = np.ones(shape, np.float32)
    actual = fw.rotary_embedding(x, *turns(shape[0], shape[2], 4), runtime=runtime)
    assert actual.shape == shape


def test_special_values_change_only_their_own_pair(runtime):
    x = normal(1, 1, 2, 8)
    cos, sin = turns(1, 2, 4)
    expected = fw.rotary_embedding(x, cos, sin, runtime=runtime)
    x[0, 0, 1, 2] = np.nan
    actual = fw.rotary_embedding(x, cos, sin, runtime=runtime)
    assert np.isnan(actual[0, 0, 1, [2, 6]]).all()
    others = [0, 1, 3, 4, 5, 7]
    assert_same_bits(actual[..., others], expected[..., others])


def test_layouts(runtime):
    x = normal(2, 3, 5, 8)
    cos, sin = turns(2, 5, 4)
    expected = fw.rotary_embedding(x, cos, sin, runtime=runtime)
    for (_, x_view), (_, cos_view), (_, sin_view) in zip(
        layouts(x), layouts(cos), layouts(sin), strict=True
    ):
        actual = fw.rotary_embedding(x_view, cos_view, sin_view, runtime=runtime)
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    arrays = [array.astype(dtype) for array in (normal(2, 3, 5, 8), *turns(2, 5, 4))]
    expected = fw.rotary_embedding(*(a.astype(np.float32) for a in arrays), runtime=runtime)
    assert_same_bits(fw.rotary_embedding(*arrays, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_shapes(runtime, data):
    batch, heads, length, half = (data.draw(st.integers(1, top)) for top in (3, 4, 9, 20))
    rotary_dim = 2 * data.draw(st.integers(1, half))
    check(
        normal(batch, heads, length, 2 * half),
        *turns(batch, length, rotary_dim // 2),
        rotary_dim=rotary_dim,
        interleaved=data.draw(st.booleans()),
        runtime=runtime,
    )


def test_in_place(runtime):
    x = normal(2, 3, 5, 8)
    cos, sin = turns(2, 5, 4)
    expected = fw.rotary_embedding(x, cos, sin, runtime=runtime)
    assert fw.rotary_embedding(x, cos, sin, out=x, runtime=runtime) is x
    assert_same_bits(x, expected)


X, (COS, SIN) = normal(2, 3, 5, 8), turns(2, 5, 4)
CACHE = turns(50, 4)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X, COS[:, :4], SIN), {}, fw.ShapeError, r"\bcos\b"),
        ((X, COS, SIN[..., :3]), {}, fw.ShapeError, r"\bsin\b"),
        ((X, COS, SIN), {"rotary_dim": 4}, fw.ShapeError, r"\b(cos|rotary_dim)\b"),
        ((X, COS, SIN), {"rotary_dim": 3}, ValueError, r"\brotary_dim\b"),
        ((X, COS, SIN), {"rotary_dim": 10}, ValueError, r"\brotary_dim\b"),
        ((X, COS, SIN), {"rotary_dim": -2}, ValueError, r"\brotary_dim\b"),
        ((X[..., :7], COS, SIN), {}, fw.ShapeError, r"\b(x|rotary_dim)\b.*7"),
        ((X[0, 0], COS, SIN), {}, fw.ShapeError, r"\bx\b"),
        ((X[:, 0], COS, SIN), {}, fw.ShapeError, r"\bnum_heads\b"),
        ((X[:, 0], COS, SIN), {"num_heads": 3}, fw.ShapeError, r"\bnum_heads\b"),
        ((X[:, 0], COS, SIN), {"num_heads": 0}, ValueError, r"\bnum_heads\b"),
        ((X, *CACHE), {"position_ids": np.full((2, 5), 50)}, IndexError, r"\bposition_ids\b.*50"),
        ((X, *CACHE), {"position_ids": np.zeros((2, 4), int)}, fw.ShapeError, r"\bposition_ids\b"),
        ((X, *CACHE), {"position_ids": np.zeros((2, 5))}, fw.DTypeError, r"\bposition_ids\b"),
        ((np.ones(X.shape, int), COS, SIN), {}, fw.DTypeError, r"\bx\b.*int64"),
        ((X, COS.astype(int), SIN), {}, fw.DTypeError, r"\bcos\b.*int64"),
        ((X, COS, SIN), {"out": np.empty(3, np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        fw.rotary_embedding(*arguments, **options)
