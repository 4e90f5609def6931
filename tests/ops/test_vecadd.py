"""vecadd: the same bits as NumPy's sum, at all shapes, layouts and types."""

import hypothesis
import numpy as np
import pytest
from hypothesis.extra import numpy as hnp

import flashwasm as fw
from flashwasm.oracles import reference
from sample_arrays import FLOAT_TYPES, SPECIAL, assert_same_bits, layouts, normal


def check(a, b, **options):
    assert_same_bits(fw.vecadd(a, b, **options), reference.vecadd(a, b))


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 15, 16, 17, 31, 1000, 100_003])
def test_sizes(runtime, n):
    check(normal(n), normal(n, seed=1), runtime=runtime)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [((), ()), ((3, 5), (5,)), ((4, 1), (1, 6)), ((2, 1, 3), (7, 1)), ((5,), ()), ((0, 4), (4,))],
)
def test_shapes_broadcast_as_in_numpy(runtime, a_shape, b_shape):
    check(normal(*a_shape), normal(*b_shape), runtime=runtime)


@hypothesis.given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=6))
def test_random_shapes(runtime, shapes):
    a, b = (normal(*shape, seed=i) for i, shape in enumerate(shapes.input_shapes))
    check(a, b, runtime=runtime)


def test_layouts(runtime):
    a, b = normal(5, 7, 9), normal(5, 7, 9, seed=1)
    for (_, left), (_, right) in zip(layouts(a), reversed(list(layouts(b))), strict=True):
        assert_same_bits(fw.vecadd(left, right, runtime=runtime), a + b)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    a, b = normal(33).astype(dtype), normal(33, seed=1).astype(dtype)
    check(a, b, runtime=runtime)


def test_special_values_follow_ieee_754(runtime):
    check(SPECIAL[:, None], SPECIAL, runtime=runtime)


def test_in_place(runtime):
    a, b = normal(1000), normal(1000, seed=1)
    expected = a + b
    assert fw.vecadd(a, b, out=a, runtime=runtime) is a
    assert_same_bits(a, expected)


def test_out_that_overlaps_an_input(runtime):
    whole = normal(1001)
    expected = whole[:-1] + whole[1:]
    fw.vecadd(whole[:-1], whole[1:], out=whole[1:], runtime=runtime)
    assert_same_bits(whole[1:], expected)


def test_strided_out(runtime):
    a, b = normal(6, 5), normal(6, 5, seed=1)
    whole = np.zeros((6, 10), np.float32)
    fw.vecadd(a, b, out=whole[:, ::2], runtime=runtime)
    assert_same_bits(whole[:, ::2], a + b)
    assert not whole[:, 1::2].any()


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "message"),
    [
        (normal(3), normal(4), {}, fw.ShapeError, r"\b[ab]\b"),
        (np.ones(3, bool), normal(3), {}, fw.DTypeError, r"\ba\b.*bool"),
        (normal(3), ["1", "2", "3"], {}, fw.DTypeError, r"\bb\b"),
        (normal(3), normal(3), {"out": np.empty(4, np.float32)}, fw.ShapeError, r"\bout\b"),
        (normal(3), normal(3), {"out": np.empty(3, np.int32)}, fw.DTypeError, r"\bout\b.*int32"),
    ],
)
def test_wrong_arguments(a, b, options, error, message):
    with pytest.raises(error, match=message):
        fw.vecadd(a, b, **options)
