"""matmul_i8: its exact bits from NumPy's integers, its error against float64, wrong arguments."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal

# Sizes below, at and above the 4 x 8 tile, the step of four codes, 16 codes and 128 rows.
SIZES = [
    (1, 1, 1),
    (3, 7, 3),
    (4, 8, 4),
    (5, 9, 5),
    (9, 15, 16),
    (31, 33, 17),
    (127, 8, 4),
    (128, 16, 64),
    (129, 9, 65),
    (2, 4, 2047),
    (1, 384, 512),
]
F = np.float32


def codes_of_columns(b):
    """Return the codes and scales of a matrix."""
    scales = np.abs(b).max(axis=0, initial=0) / F(127)
    codes = np.rint(np.divide(b, scales, out=np.zeros_like(b), where=scales > 0))
    return codes.astype(np.int64), scales


def codes_of_rows(a):
    """Return the codes, zero points and scales of the rows of a matrix."""
    low = np.minimum(a.min(axis=1, initial=0), 0).astype(F)
    high = np.maximum(a.max(axis=1, initial=0), 0).astype(F)
    scales = high * F(1 / 127) - low * F(1 / 127)
    scales[scales < 2.0**-96] = 0
    per_code = np.divide(F(1), scales, out=np.zeros_like(scales), where=scales > 0)
    magic = F(12582912)
    shifted = magic - low * per_code
    codes = np.clip(a * per_code[:, None] + shifted[:, None], magic, magic + F(127)) - magic
    return codes.astype(np.int64), (shifted - magic).astype(np.int64), scales


def expected_bits(a, b, bias=None):
    """Compute in integers and single roundings of float32, as the contract says."""
    x, zeros, row_scales = codes_of_rows(a)
    y, column_scales = codes_of_columns(b)
    sums = (x @ y - zeros[:, None] * y.sum(axis=0)).astype(F)
    product = sums * (row_scales[:, None] * column_scales)
    return product + (F(0) if bias is None else bias)


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_bits_and_distance_from_float64(runtime, m, n, k):
    a, b, bias = normal(m, k), normal(k, n), normal(n)
    matrix = fw.Int8Matrix(b, runtime=runtime)
    for added in (None, bias):
        actual = fw.matmul_i8(a, matrix, bias=added)
        assert_same_bits(actual, expected_bits(a, b, added))
        bounds.assert_close(actual, reference.matmul_i8(a, b, added), bounds.matmul_i8(a, b, added))


@hypothesis.given(
    data=st.data(),
    m=st.integers(1, 9),
    n=st.integers(1, 19),
    k=st.integers(1, 40),
    scale=st.sampled_from([1e-35, 1e-20, 1.0, 1e15]),
)
def test_any_numbers(one_thread, data, m, n, k, scale):
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    # Rows of one sign, rows of zeros, and numbers far apart.
    a = rng.standard_normal((m, k), F) ** data.draw(st.sampled_from([1, 2, 5])) * F(scale)
    a[data.draw(st.integers(0, m - 1))] *= data.draw(st.sampled_from([0, 1, -1]))
    b = rng.standard_normal((k, n), F)
    b[:, data.draw(st.integers(0, n - 1))] *= data.draw(st.sampled_from([0, 1]))
    actual = fw.matmul_i8(a, fw.Int8Matrix(b, runtime=one_thread))
    assert_same_bits(actual, expected_bits(a, b))
    bounds.assert_close(actual, reference.matmul_i8(a, b), bounds.matmul_i8(a, b))


def test_all_variants_have_the_same_bits():
    a, b, bias = normal(70, 130), normal(130, 43), normal(43)
    results = []
    for variant in ("relaxed", "simd128", "scalar"):
        for threads in (1, 2):
            with fw.Runtime(variant=variant, threads=threads) as rt:
                results.append(fw.matmul_i8(a, fw.Int8Matrix(b, runtime=rt), bias=bias))
    for result in results:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("depth", [65_536, 65_533])
def test_the_greatest_sums_fit(runtime, depth):
    a = np.ones((5, depth), F)
    a[1] = -1
    a[2, ::2] = -1
    a[3, 1::2] = 0
    b = np.ones((depth, 2), F)
    b[:, 1] = -1
    actual = fw.matmul_i8(a, fw.Int8Matrix(b, runtime=runtime))
    assert_same_bits(actual, expected_bits(a, b))
    assert actual[0] == pytest.approx([depth, -depth], rel=1e-6)


@pytest.mark.parametrize(("activation", "approximate"), [("gelu", "none"), ("gelu_tanh", "tanh")])
def test_an_activation_has_the_bits_of_gelu(runtime, activation, approximate):
    a, bias = normal(150, 33), normal(19)
    b = fw.Int8Matrix(normal(33, 19), runtime=runtime)
    plain = fw.matmul_i8(a, b, bias=bias)
    actual = fw.matmul_i8(a, b, bias=bias, activation=activation)
    assert_same_bits(actual, fw.gelu(plain, approximate, runtime=runtime))


def test_a_row_that_is_not_finite_is_nan_and_the_others_are_not(runtime):
    a, b = normal(9, 21), fw.Int8Matrix(normal(21, 11), runtime=runtime)
    expected = fw.matmul_i8(a, b)
    for row, value in ((0, np.nan), (4, np.inf), (8, -np.inf)):
        a[row, row] = value
        expected[row] = np.nan
    assert_same_bits(fw.matmul_i8(a, b, bias=np.zeros(11, F)), expected)


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (0, 0)])
def test_empty(runtime, shape):
    m, k = shape
    bias = normal(3)
    actual = fw.matmul_i8(
        np.ones((m, k), F), fw.Int8Matrix(np.ones((k, 3), F), runtime=runtime), bias=bias
    )
    assert actual.shape == (m, 3)
    if not k:
        assert_same_bits(actual, np.tile(bias, (m, 1)))
    assert fw.matmul_i8(
        np.ones((m, 2), F), fw.Int8Matrix(np.ones((2, 0), F), runtime=runtime)
    ).shape == (m, 0)


@pytest.mark.parametrize("layout", [name for name, _ in layouts(normal(1, 1))])
def test_layouts(runtime, layout):
    a, b = normal(13, 37), normal(37, 21)
    expected = fw.matmul_i8(a, fw.Int8Matrix(b, runtime=runtime))
    matrix = fw.Int8Matrix(dict(layouts(b))[layout], runtime=runtime)
    assert_same_bits(fw.matmul_i8(dict(layouts(a))[layout], matrix), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types_of_floats(runtime, dtype):
    a, b = normal(6, 12).astype(dtype), normal(12, 5).astype(dtype)
    actual = fw.matmul_i8(a, fw.Int8Matrix(b, runtime=runtime))
    assert_same_bits(actual, expected_bits(a.astype(F), b.astype(F)))


def test_batches_vectors_and_residence(runtime):
    a, b = normal(3, 50, 20), normal(20, 30)
    matrix = fw.Int8Matrix(b, runtime=runtime)
    expected = np.stack([fw.matmul_i8(x, matrix) for x in a])
    assert_same_bits(fw.matmul_i8(a, matrix), expected)
    assert_same_bits(fw.matmul_i8(a[1, 7], matrix), expected[1, 7])
    resident = runtime.asarray(a)
    result = fw.matmul_i8(resident, matrix)
    assert runtime.holds(result)
    assert_same_bits(result, expected)
    # Rows of a resident array with a stride are read where they lie.
    assert_same_bits(fw.matmul_i8(resident[1, ::2], matrix), expected[1, ::2])
    out = runtime.empty((3, 50, 30))
    assert fw.matmul_i8(resident, matrix, out=out) is out
    assert_same_bits(out, expected)


def test_rows_that_do_not_fit_memory_are_multiplied_in_parts():
    a, b = normal(40_000, 64), normal(64, 32)
    with fw.Runtime(max_memory=8 << 20) as small, fw.Runtime() as large:
        expected = fw.matmul_i8(a, fw.Int8Matrix(b, runtime=large))
        assert_same_bits(fw.matmul_i8(a, fw.Int8Matrix(b, runtime=small)), expected)


def test_the_numbers_that_the_codes_stand_for(runtime):
    b = normal(13, 10)
    b[:, 3] = 0
    codes, scales = codes_of_columns(b)
    matrix = fw.Int8Matrix(b, runtime=runtime)
    assert matrix.shape == (13, 10)
    assert_same_bits(matrix.dequantize(), (codes * scales).astype(F))
    assert "shape=(13, 10)" in repr(matrix)


def test_wrong_arguments(runtime):
    matrix = fw.Int8Matrix(normal(4, 3), runtime=runtime)
    a = normal(2, 4)
    for error, message, call in (
        (fw.DTypeError, "b: expected an Int8Matrix, got ndarray", lambda: fw.matmul_i8(a, a)),
        (fw.ShapeError, r"a: expected 4 numbers", lambda: fw.matmul_i8(a.T, matrix)),
        (fw.ShapeError, "bias", lambda: fw.matmul_i8(a, matrix, bias=normal(4))),
        (fw.ShapeError, "activation", lambda: fw.matmul_i8(a, matrix, activation="relu")),
        (fw.ShapeError, "out", lambda: fw.matmul_i8(a, matrix, out=normal(2, 4))),
        (fw.DTypeError, "a: ", lambda: fw.matmul_i8(a.astype(int), matrix)),
        (fw.ShapeError, "b: ", lambda: fw.Int8Matrix(normal(4), runtime=runtime)),
        (fw.ShapeError, "b: expected finite", lambda: fw.Int8Matrix([[np.nan]], runtime=runtime)),
        (
            fw.ShapeError,
            "b: expected at most 65536 rows, got 65537",
            lambda: fw.Int8Matrix(np.zeros((65_537, 1), F), runtime=runtime),
        ),
        (fw.DeadlineExceeded, "timeout", lambda: fw.matmul_i8(a, matrix, timeout=1e-9)),
    ):
        with pytest.raises(error, match=message):
            call()
    other = fw.Runtime()
    closed = fw.Int8Matrix(normal(4, 3), runtime=other)
    other.close()
    with pytest.raises(fw.ClosedError):
        fw.matmul_i8(a, closed)
