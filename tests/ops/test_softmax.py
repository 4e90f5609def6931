"""softmax: against float64, at all sizes, layouts and types, with special values."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def check(x, axis=-1, **options):
    actual = fw.softmax(x, axis, **options)
    bounds.assert_close(actual, reference.softmax(x, axis), bounds.softmax(x, axis))
    return actual


# Sizes around a vector of 4, the 16 of an unrolled loop, and the 4096 of one piece of a sum.
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 512, 4095, 4096, 4097, 9001])
@pytest.mark.parametrize("rows", [1, 3])
def test_sizes(runtime, rows, columns):
    check(4 * normal(rows, columns), runtime=runtime)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_axes(runtime, axis):
    check(normal(5, 6, 7), axis, runtime=runtime)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
def test_empty(runtime, shape):
    assert fw.softmax(np.ones(shape, np.float32), runtime=runtime).shape == shape


@pytest.mark.parametrize("offset", [-1e30, -1000.0, 1000.0, 1e30])
def test_offsets_do_not_overflow(runtime, offset):
    check(normal(4, 50) + np.float32(offset), runtime=runtime)


def test_far_apart_values_keep_their_small_probabilities(runtime):
    x = np.linspace(-110, 0, 111, dtype=np.float32)[None]
    assert (check(x, runtime=runtime)[0, 8:] > 0).all()


def test_special_values_change_only_their_own_row(runtime):
    inf = np.float32(np.inf)
    x = np.tile(normal(1, 7), (6, 1))
    x[1, 2], x[2, 6], x[3, 0], x[4] = np.nan, inf, -inf, -inf
    actual = fw.softmax(x, runtime=runtime)
    assert np.isnan(actual[[1, 2, 4]]).all()
    assert actual[3, 0] == 0
    for row in (0, 3, 5):
        bounds.assert_close(actual[row], reference.softmax(x[row]), bounds.softmax(x[row]))


def test_layouts(runtime):
    x = normal(6, 37)
    expected = fw.softmax(x, runtime=runtime)
    for _, relaid in layouts(x):
        assert_same_bits(fw.softmax(relaid, runtime=runtime), expected)
    broadcast = np.broadcast_to(x[:, :1], x.shape)
    check(broadcast, runtime=runtime)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    x = normal(5, 19).astype(dtype)
    expected = fw.softmax(x.astype(np.float32), runtime=runtime)
    assert_same_bits(fw.softmax(x, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_shapes(runtime, data):
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(data.draw(st.sampled_from([0.1, 1, 30])) * normal(*shape), axis, runtime=runtime)


def test_bits_do_not_depend_on_the_rows_beside(runtime):
    x = normal(40, 100)
    whole = fw.softmax(x, runtime=runtime)
    assert_same_bits(fw.softmax(x[7:8], runtime=runtime), whole[7:8])
    assert_same_bits(fw.softmax(x[13:31], runtime=runtime), whole[13:31])


def test_in_place(runtime):
    x = normal(9, 30)
    expected = fw.softmax(x, runtime=runtime)
    assert fw.softmax(x, out=x, runtime=runtime) is x
    assert_same_bits(x, expected)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (normal(2, 3), {"axis": 2}, fw.ShapeError, r"\baxis\b.*2"),
        (normal(2, 3), {"axis": -3}, fw.ShapeError, r"\baxis\b.*-3"),
        (np.float32(1), {}, fw.ShapeError, r"\b(x|axis)\b"),
        (normal(2, 3), {"axis": 0.5}, TypeError, r"\baxis\b"),
        (np.ones((2, 3), int), {}, fw.DTypeError, r"\bx\b.*int64"),
        (normal(2, 3), {"out": np.empty((3, 2), np.float32)}, fw.ShapeError, r"\bout\b"),
        (normal(2, 3), {"out": np.empty((2, 3), np.float16)}, fw.DTypeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(x, options, error, message):
    with pytest.raises(error, match=message):
        fw.softmax(x, **options)
