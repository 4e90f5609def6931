"""rms_norm: against float64, at all sizes, layouts and types, with special values."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def check(x, weight=None, eps=1e-5, *, axis=-1, **options):
    actual = fw.rms_norm(x, weight, eps, axis=axis, **options)
    expected = reference.rms_norm(x, weight, eps, axis)
    bounds.assert_close(actual, expected, bounds.rms_norm(x, weight, eps, axis))
    return actual


# Sizes around a vector of 4, the 16 of an unrolled loop, and the 4096 of one piece of a sum.
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 15, 16, 17, 63, 384, 4095, 4096, 4097, 9001])
def test_sizes(runtime, columns):
    check(normal(3, columns), normal(columns), runtime=runtime)
    check(normal(3, columns), runtime=runtime)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_all_axes_from_the_given_one_on(runtime, axis):
    x = normal(3, 4, 5)
    check(x, normal(*x.shape[axis:]), axis=axis, runtime=runtime)


def test_epsilon_counts_where_the_values_are_small(runtime):
    for eps in (0.0, 1e-12, 1e-6, 1e-5, 0.1):
        check(1e-3 * normal(4, 64), eps=eps, runtime=runtime)


def test_zeros_stay_zeros(runtime):
    assert not fw.rms_norm(np.zeros((3, 20), np.float32), runtime=runtime).any()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
def test_empty(runtime, shape):
    assert fw.rms_norm(np.ones(shape, np.float32), runtime=runtime).shape == shape


def test_special_values_change_only_their_own_row(runtime):
    x = normal(4, 23)
    expected = fw.rms_norm(x, runtime=runtime)
    x[1, 3], x[2, 0] = np.nan, np.inf
    actual = fw.rms_norm(x, runtime=runtime)
    assert np.isnan(actual[1]).all()
    # The infinity makes the root infinite. Infinity divided by that is NaN, a finite number zero.
    assert np.isnan(actual[2, 0])
    assert not actual[2, 1:].any()
    assert_same_bits(actual[[0, 3]], expected[[0, 3]])


def test_layouts(runtime):
    x, weight = normal(6, 37), normal(37)
    expected = fw.rms_norm(x, weight, runtime=runtime)
    for (_, x_view), (_, weight_view) in zip(layouts(x), layouts(weight), strict=True):
        assert_same_bits(fw.rms_norm(x_view, weight_view, runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    x, weight = normal(5, 19).astype(dtype), normal(19).astype(dtype)
    expected = fw.rms_norm(x.astype(np.float32), weight.astype(np.float32), runtime=runtime)
    assert_same_bits(fw.rms_norm(x, weight, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_shapes(runtime, data):
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    scale = data.draw(st.sampled_from([0.01, 1, 100]))
    check(scale * normal(*shape), axis=axis, runtime=runtime)


def test_bits_do_not_depend_on_the_rows_beside(runtime):
    x = normal(40, 100)
    whole = fw.rms_norm(x, runtime=runtime)
    assert_same_bits(fw.rms_norm(x[7:8], runtime=runtime), whole[7:8])
    assert_same_bits(fw.rms_norm(x[13:31], runtime=runtime), whole[13:31])


def test_in_place(runtime):
    x = normal(9, 30)
    expected = fw.rms_norm(x, runtime=runtime)
    assert fw.rms_norm(x, out=x, runtime=runtime) is x
    assert_same_bits(x, expected)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (normal(2, 3), {"weight": normal(4)}, fw.ShapeError, r"\bweight\b"),
        (normal(2, 3), {"weight": normal(3), "axis": 0}, fw.ShapeError, r"\bweight\b"),
        (normal(2, 3), {"axis": 2}, fw.ShapeError, r"\baxis\b"),
        (normal(2, 3), {"eps": -1e-5}, ValueError, r"\beps\b"),
        (np.float32(1), {}, fw.ShapeError, r"\b(x|axis)\b"),
        (np.ones((2, 3), int), {}, fw.DTypeError, r"\bx\b.*int64"),
        (normal(2, 3), {"out": np.empty((3, 2), np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(x, options, error, message):
    with pytest.raises(error, match=message):
        fw.rms_norm(x, **options)
