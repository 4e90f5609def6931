"""matmul: against float64, at all sizes, strides and types; the same bits in every batch."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, SPECIAL, assert_same_bits, layouts, normal

# Sizes below, at and above the 4 x 8 tile, the 128 rows, 512 terms and 384 columns of a block, the
# 32 columns of a block where all rows are one block, and 16 columns.
SIZES = [
    (1, 1, 1),
    (1, 17, 9),
    (2, 40, 33),
    (3, 5, 7),
    (4, 8, 1),
    (5, 9, 3),
    (8, 16, 255),
    (9, 15, 256),
    (12, 24, 257),
    (31, 33, 513),
    (255, 7, 4),
    (256, 8, 5),
    (257, 9, 6),
    (64, 1, 64),
    (1, 384, 512),
    (100, 45, 520),
    (128, 33, 512),
    (129, 385, 513),
]


def check(a, b, bias=None, **options):
    actual = fw.matmul(a, b, bias=bias, **options)
    bounds.assert_close(actual, reference.matmul(a, b, bias), bounds.matmul(a, b, bias))
    return actual


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_sizes(runtime, m, n, k):
    check(normal(m, k), normal(k, n), runtime=runtime)
    check(normal(m, k), normal(k, n), normal(n), runtime=runtime)


def test_blocks_do_not_show_in_the_bits(runtime):
    a, b, bias = normal(129, 513), normal(513, 385), normal(385)
    whole = fw.matmul(a, b, bias=bias, runtime=runtime)
    for row in (0, 127, 128):
        assert_same_bits(fw.matmul(a[row], b, bias=bias, runtime=runtime), whole[row])
    columns = slice(376, 385)
    part = fw.matmul(a, b[:, columns], bias=bias[columns], runtime=runtime)
    assert_same_bits(part, whole[:, columns])


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((5,), (5,)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((2, 4, 5), (5,)),
        ((5,), (2, 5, 3)),
        ((3, 4, 5), (5, 6)),
        ((4, 5), (3, 5, 6)),
        ((3, 4, 5), (3, 5, 6)),
        ((2, 1, 4, 5), (3, 5, 6)),
        ((2, 3, 4, 5), (1, 3, 5, 6)),
        ((1, 1, 5), (7, 5, 2)),
    ],
)
def test_batches_broadcast_as_in_numpy(runtime, a_shape, b_shape):
    check(normal(*a_shape), normal(*b_shape), runtime=runtime)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((0, 5), (5, 3)),
        ((4, 5), (5, 0)),
        ((4, 0), (0, 3)),
        ((0, 4, 5), (5, 3)),
        ((2, 4, 0), (0, 3)),
        ((2, 3, 4, 0), (0, 3)),
        ((0, 4, 0), (0, 3)),
        ((4, 0), (2, 0, 3)),
        ((0,), (0,)),
    ],
)
def test_empty(runtime, a_shape, b_shape):
    check(np.ones(a_shape, np.float32), np.ones(b_shape, np.float32), runtime=runtime)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((2, 4, 5), (5,)), ((5,), (2, 5, 3))],
)
def test_out_of_products_with_vectors(runtime, a_shape, b_shape):
    a, b = normal(*a_shape), normal(*b_shape)
    expected = fw.matmul(a, b, runtime=runtime)
    for out in (np.empty(expected.shape, np.float32), runtime.empty(expected.shape)):
        assert fw.matmul(a, b, out=out, runtime=runtime) is out
        assert_same_bits(np.array(out), np.array(expected))


def test_bias_without_terms_is_the_bias(runtime):
    bias = normal(9)
    actual = fw.matmul(
        np.ones((4, 0), np.float32), np.ones((0, 9), np.float32), bias=bias, runtime=runtime
    )
    assert_same_bits(actual, np.tile(bias, (4, 1)))


@pytest.mark.parametrize("layout", [name for name, _ in layouts(normal(1, 1))])
def test_layouts(runtime, layout):
    a, b = normal(13, 37), normal(37, 21)
    expected = fw.matmul(a, b, runtime=runtime)
    actual = fw.matmul(dict(layouts(a))[layout], dict(layouts(b))[layout], runtime=runtime)
    assert_same_bits(actual, expected)


def test_transposed_and_broadcast_operands(runtime):
    check(normal(37, 13).T, normal(21, 37).T, runtime=runtime)
    check(np.broadcast_to(normal(1, 37), (9, 37)), normal(37, 5), runtime=runtime)
    check(np.broadcast_to(normal(9, 1), (9, 37)), normal(37, 5), runtime=runtime)
    check(np.broadcast_to(normal(6, 5), (3, 6, 5)), normal(5, 4), runtime=runtime)
    check(normal(5, 6, 4).transpose(1, 0, 2), normal(4, 7), runtime=runtime)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    a, b = normal(6, 10).astype(dtype), normal(10, 9).astype(dtype)
    expected = fw.matmul(a.astype(np.float32), b.astype(np.float32), runtime=runtime)
    assert_same_bits(fw.matmul(a, b, runtime=runtime), expected)


@hypothesis.given(data=st.data())
def test_random_shapes_and_strides(runtime, data):
    m, n, k = (data.draw(st.integers(1, top)) for top in (20, 40, 300))
    operands = []
    for rows, columns in ((m, k), (k, n)):
        step = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        whole = normal(rows * abs(step), columns * abs(step))
        if data.draw(st.booleans()):
            whole = np.asfortranarray(whole)
        operands.append(whole[::step, ::step])
    check(*operands, runtime=runtime)


def test_special_values_follow_ieee_754(runtime):
    for value in SPECIAL:
        a, b = normal(5, 6), normal(6, 9)
        a[2, 3] = value
        actual = fw.matmul(a, b, runtime=runtime)
        untouched = [0, 1, 3, 4]
        assert_same_bits(actual[untouched], fw.matmul(a[untouched], b, runtime=runtime))
        with np.errstate(over="ignore"):
            expected = reference.matmul(a, b).astype(np.float32)
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
        np.testing.assert_array_equal(np.isposinf(actual), np.isposinf(expected))
        np.testing.assert_array_equal(np.isneginf(actual), np.isneginf(expected))
    b = np.ones((6, 9), np.float32)
    b[1, 4] = np.nan
    actual = fw.matmul(np.zeros((5, 6), np.float32), b, runtime=runtime)
    assert np.isnan(actual[:, 4]).all()
    assert not np.isnan(np.delete(actual, 4, axis=1)).any()


@pytest.mark.parametrize(("n", "k"), [(63, 9), (64, 3), (67, 4), (95, 11), (1043, 6)])
def test_few_rows_have_the_bits_of_many(runtime, n, k):
    """Sums of up to three rows wait in the result between rows of b; here NaNs are among them."""
    a, b, bias = normal(5, k), normal(k, n), normal(n)
    a[1, k // 2] = np.inf
    b[0, 5] = b[-1, n - 1] = np.array(0xFFC12345, np.uint32).view(np.float32)
    bias[n // 2] = -np.inf
    for added in (None, bias):
        whole = fw.matmul(a, b, bias=added, runtime=runtime)
        for rows in (slice(0, 1), slice(1, 3), slice(0, 3)):
            assert_same_bits(fw.matmul(a[rows], b, bias=added, runtime=runtime), whole[rows])


def test_subnormals_are_kept(runtime):
    a, b = np.full((1, 1), 2.0**-100, np.float32), np.full((1, 1), 2.0**-45, np.float32)
    assert fw.matmul(a, b, runtime=runtime)[0, 0] == np.float32(2.0**-145)


def test_relaxed_variant_rounds_a_multiply_add_once(one_thread):
    """(1 + e)^2 - (1 + 2 e) is e^2, which is lost if the product is rounded before the sum."""
    e = np.float32(2.0**-13)
    a = np.array([[1 + 2 * e, 1 + e]], np.float32)
    b = np.array([[-1], [1 + e]], np.float32)
    assert fw.matmul(a, b, runtime=one_thread)[0, 0] == np.float32(2.0**-26)


def test_bits_depend_only_on_their_row_and_column(runtime):
    a, b = normal(3, 70, 300), normal(3, 300, 50)
    whole = fw.matmul(a, b, runtime=runtime)
    assert_same_bits(fw.matmul(a[1], b[1], runtime=runtime), whole[1])
    for rows in (slice(0, 1), slice(3, 5), slice(13, 64)):
        assert_same_bits(fw.matmul(a[:, rows], b, runtime=runtime), whole[:, rows])
    for columns in (slice(0, 1), slice(7, 9), slice(11, 50)):
        assert_same_bits(fw.matmul(a, b[..., columns], runtime=runtime), whole[..., columns])


def test_out(runtime):
    a, b = normal(6, 7), normal(7, 9)
    expected = fw.matmul(a, b, runtime=runtime)
    out = np.full((6, 9), np.nan, np.float32)
    assert fw.matmul(a, b, out=out, runtime=runtime) is out
    assert_same_bits(out, expected)
    square = normal(9, 9)
    expected = fw.matmul(square, square, runtime=runtime)
    fw.matmul(square, square, out=square, runtime=runtime)
    assert_same_bits(square, expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((normal(2, 3), normal(4, 5)), fw.ShapeError, r"\bb\b.*(3|4)"),
        ((normal(2, 2, 3), normal(3, 3, 5)), fw.ShapeError, r"\b[ab]\b"),
        ((np.float32(1), normal(4, 5)), fw.ShapeError, r"\ba\b"),
        ((normal(4, 5), np.float32(1)), fw.ShapeError, r"\bb\b"),
        ((np.ones((2, 3), int), normal(3, 5)), fw.DTypeError, r"\ba\b.*int64"),
        ((normal(2, 3), np.ones((3, 5), complex)), fw.DTypeError, r"\bb\b.*complex128"),
        ((normal(2, 3), [["x"] * 5] * 3), fw.DTypeError, r"\bb\b"),
        ((normal(2, 3), np.full((3, 5), None)), fw.DTypeError, r"\bb\b.*object"),
    ],
)
def test_wrong_operands(arguments, error, message):
    with pytest.raises(error, match=message):
        fw.matmul(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bias": normal(4)}, fw.ShapeError, r"\bbias\b"),
        ({"bias": np.ones(5, int)}, fw.DTypeError, r"\bbias\b"),
        ({"out": np.empty((2, 4), np.float32)}, fw.ShapeError, r"\bout\b"),
        ({"out": np.empty((2, 5))}, fw.DTypeError, r"\bout\b.*float64"),
        ({"out": np.broadcast_to(np.float32(0), (2, 5))}, ValueError, r"\bout\b"),
        ({"out": [[0.0] * 5] * 2}, TypeError, r"\bout\b"),
        ({"runtime": "relaxed"}, TypeError, r"\bruntime\b"),
        ({"timeout": -1.0}, ValueError, r"\btimeout\b"),
        ({"timeout": float("nan")}, ValueError, r"\btimeout\b"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        fw.matmul(normal(2, 3), normal(3, 5), **options)


# Small resident matrices, which take one call of the kernel.


@pytest.mark.parametrize(("m", "n", "k"), [*SIZES, (0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_one_call_has_the_bits_of_a_launch(runtime, m, n, k):
    a, b, bias = (runtime.asarray(x) for x in (normal(m, k), normal(k, n), normal(n)))
    for added in (None, bias):
        # A timeout asks for a launch.
        expected = np.array(fw.matmul(a, b, bias=added, timeout=60, runtime=runtime))
        result = fw.matmul(a, b, bias=added, runtime=runtime)
        assert runtime.holds(result)
        assert_same_bits(result, expected)
        out = runtime.empty((m, n))
        assert fw.matmul(a, b, bias=added, out=out, runtime=runtime) is out
        assert_same_bits(out, expected)


def test_what_one_call_cannot_do_is_left_to_a_launch(runtime):
    a, b = runtime.asarray(normal(9, 9)), runtime.asarray(normal(9, 9))
    expected = fw.matmul(np.array(a), np.array(b), runtime=runtime)
    before = runtime.stats().calls
    assert_same_bits(fw.matmul(a[:, :], b.T, runtime=runtime), check(a, b.T, runtime=runtime))
    assert_same_bits(fw.matmul(a, b, out=a, runtime=runtime), expected)
    assert runtime.stats().calls > before
    with pytest.raises(fw.ShapeError, match="b: expected 9 rows"):
        fw.matmul(a, runtime.asarray(normal(8, 9)), runtime=runtime)
    with pytest.raises(fw.ShapeError, match="bias"):
        fw.matmul(a, b, bias=runtime.asarray(normal(8)), runtime=runtime)
    with pytest.raises(fw.ShapeError, match="out"):
        fw.matmul(a, b, out=runtime.empty((9, 8)), runtime=runtime)
    with pytest.raises(fw.DTypeError):
        fw.matmul(None, b, runtime=runtime)
