"""layer_norm: against float64, at all sizes, layouts and types, with special values."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def check(x, weight=None, bias=None, eps=1e-5, *, axis=-1, **options):
    actual = fw.layer_norm(x, weight, bias, eps, axis=axis, **options)
    expected = reference.layer_norm(x, weight, bias, eps, axis)
    bounds.assert_close(actual, expected, bounds.layer_norm(x, weight, bias, eps, axis))
    return actual


# Sizes around a vector of 4, the 16 of an unrolled loop, and the 4096 of one piece of a sum.
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 15, 16, 17, 63, 384, 4095, 4096, 4097, 9001])
def test_sizes(runtime, columns):
    check(normal(3, columns), normal(columns), normal(columns, seed=1), runtime=runtime)


@pytest.mark.parametrize("with_weight", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
def test_weight_and_bias_are_optional(runtime, with_weight, with_bias):
    weight = normal(19) if with_weight else None
    bias = normal(19, seed=1) if with_bias else None
    check(normal(4, 19), weight, bias, runtime=runtime)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_all_axes_from_the_given_one_on(runtime, axis):
    x = normal(3, 4, 5)
    shape = x.shape[axis:]
    check(x, normal(*shape), normal(*shape, seed=1), axis=axis, runtime=runtime)


def test_epsilon_counts_where_the_variance_is_small(runtime):
    x = 1e-3 * normal(4, 64)
    for eps in (0.0, 1e-12, 1e-6, 1e-5, 0.1):
        check(x, eps=eps, runtime=runtime)


def test_data_far_from_zero(runtime):
    """The variance is taken about the mean. The mean of x^2 minus mean^2 would cancel to noise."""
    check(normal(4, 100) + np.float32(1e4), runtime=runtime)


def test_constant_rows_become_the_bias(runtime):
    x = np.full((3, 20), 7.25, np.float32)
    bias = normal(20)
    assert_same_bits(fw.layer_norm(x, None, bias, runtime=runtime), np.tile(bias, (3, 1)))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
def test_empty(runtime, shape):
    assert fw.layer_norm(np.ones(shape, np.float32), runtime=runtime).shape == shape


def test_special_values_change_only_their_own_row(runtime):
    x = normal(5, 23)
    expected = fw.layer_norm(x, runtime=runtime)
    x[1, 3], x[2, 0], x[3, 22] = np.nan, np.inf, -np.inf
    actual = fw.layer_norm(x, runtime=runtime)
    assert np.isnan(actual[1:4]).all()
    assert_same_bits(actual[[0, 4]], expected[[0, 4]])


@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("column", [5, 36])
@pytest.mark.parametrize("place", ["weight", "bias"])
def test_special_weights_and_biases_change_only_their_own_column(runtime, place, column, odd):
    """The kernel makes NaNs canonical only in rows that may contain one."""
    x, given = normal(5, 37), {"weight": normal(37, seed=1), "bias": normal(37, seed=2)}
    x[1:3] = 2  # In these rows, an infinite weight is multiplied by zero.
    expected = fw.layer_norm(x, **given, runtime=runtime)
    given[place][column] = odd
    actual = fw.layer_norm(x, **given, runtime=runtime)
    others = np.arange(37) != column
    assert_same_bits(actual[:, others], expected[:, others])
    with np.errstate(invalid="ignore"):
        formula = reference.layer_norm(x, given["weight"], given["bias"])[:, column]
    np.testing.assert_array_equal(np.isnan(actual[:, column]), np.isnan(formula))
    assert_nans_are_canonical(actual)


@pytest.mark.parametrize("row", [np.nan, np.inf, 3e38, 7.25], ids=["nan", "inf", "great", "equal"])
def test_rows_without_a_finite_scale_give_the_canonical_nan(runtime, row):
    """A row of equal numbers has no variance, and epsilon is 0 here. Great numbers overflow it."""
    x, weight, bias = normal(4, 37), normal(37, seed=1), normal(37, seed=2)
    expected = fw.layer_norm(x, weight, bias, 0.0, runtime=runtime)
    x[1] = row
    x[2, ::2] = row
    actual = fw.layer_norm(x, weight, bias, 0.0, runtime=runtime)
    assert_same_bits(actual[[0, 3]], expected[[0, 3]])
    assert np.isnan(actual[1]).all() or row == 3e38
    assert_nans_are_canonical(actual)


def assert_nans_are_canonical(actual):
    assert set(actual.view(np.uint32)[np.isnan(actual)].tolist()) <= {0x7FC00000}


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("magnitude", [1e30, 1e20, 1e-30])
def test_numbers_whose_squares_are_beyond_float32_must_be_scaled_first(runtime, name, magnitude):
    """Without scaling the result is zeros, or not finite, as the docstring says."""
    norm, exact, bound = (getattr(module, name) for module in (fw, reference, bounds))
    x = (normal(3, 50) * magnitude).astype(np.float32)
    found = norm(x, eps=0.0, runtime=runtime)
    assert not found.any() if magnitude > 1 else not np.isfinite(found).any()
    scaled = np.ldexp(x, -int(np.log2(magnitude)))
    found = norm(scaled, eps=0.0, runtime=runtime)
    bounds.assert_close(found, exact(x, eps=0.0), bound(scaled, eps=0.0))


def test_layouts(runtime):
    x, weight = normal(6, 37), normal(37)
    expected = fw.layer_norm(x, weight, runtime=runtime)
    for (_, x_view), (_, weight_view) in zip(layouts(x), layouts(weight), strict=True):
        assert_same_bits(fw.layer_norm(x_view, weight_view, runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    x, weight = normal(5, 19).astype(dtype), normal(19).astype(dtype)
    expected = fw.layer_norm(x.astype(np.float32), weight.astype(np.float32), runtime=runtime)
    assert_same_bits(fw.layer_norm(x, weight, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_shapes(runtime, data):
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = normal(*shape) * data.draw(st.sampled_from([0.01, 1, 100]))
    check(x + data.draw(st.sampled_from([0, 1, -50])), axis=axis, runtime=runtime)


def test_bits_do_not_depend_on_the_rows_beside(runtime):
    x = normal(40, 100)
    whole = fw.layer_norm(x, runtime=runtime)
    assert_same_bits(fw.layer_norm(x[7:8], runtime=runtime), whole[7:8])
    assert_same_bits(fw.layer_norm(x[13:31], runtime=runtime), whole[13:31])


def test_in_place(runtime):
    x = normal(9, 30)
    expected = fw.layer_norm(x, runtime=runtime)
    assert fw.layer_norm(x, out=x, runtime=runtime) is x
    assert_same_bits(x, expected)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (normal(2, 3), {"weight": normal(4)}, fw.ShapeError, r"\bweight\b"),
        (normal(2, 3), {"bias": normal(2)}, fw.ShapeError, r"\bbias\b"),
        (normal(2, 3), {"weight": normal(3), "axis": 0}, fw.ShapeError, r"\bweight\b"),
        (normal(2, 3), {"axis": 2}, fw.ShapeError, r"\baxis\b"),
        (normal(2, 3), {"eps": -1e-5}, ValueError, r"\beps\b"),
        (normal(2, 3), {"eps": float("nan")}, ValueError, r"\beps\b"),
        (np.float32(1), {}, fw.ShapeError, r"\b(x|axis)\b"),
        (np.ones((2, 3), int), {}, fw.DTypeError, r"\bx\b.*int64"),
        (normal(2, 3), {"weight": np.ones(3, int)}, fw.DTypeError, r"\bweight\b.*int64"),
        (normal(2, 3), {"out": np.empty((3, 2), np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(x, options, error, message):
    with pytest.raises(error, match=message):
        fw.layer_norm(x, **options)
