"""Products of matrices, softmax and layer norm on a GPU."""

import numpy as np
import pytest

import flashwasm as fw
from backend_bounds import layer_norm, softmax
from flashwasm.oracles import bounds, reference
from gpu_calls import UNLIMITED
from sample_arrays import assert_same_bits, normal


def _check_matmul(gpu, a, b, bias=None):
    product = gpu.matmul(a, b, bias, UNLIMITED)
    bounds.assert_close(product, reference.matmul(a, b, bias), bounds.matmul(a, b, bias))
    return product


@pytest.mark.parametrize("n", [1, 63, 65])
@pytest.mark.parametrize("m", [64, 65])
def test_matrices_below_at_and_above_a_block(gpu, m, n):
    for k in (1, 15, 16, 17):
        _check_matmul(gpu, normal(m, k), normal(k, n), normal(n))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 5, 7), (3, 7, 6)), ((5, 7), (3, 7, 6)), ((2, 1, 5, 7), (3, 7, 6)), ((2, 5, 7), (7, 6))],
)
def test_leading_axes_broadcast(gpu, a, b):
    _check_matmul(gpu, normal(*a), normal(*b))


def test_empty_matrices(gpu):
    assert gpu.matmul(normal(0, 3), normal(3, 2), None, UNLIMITED).shape == (0, 2)
    assert not _check_matmul(gpu, normal(2, 0), normal(0, 3)).any()
    _check_matmul(gpu, normal(2, 0), normal(0, 3), normal(3))


def test_products_of_parts_have_the_bits_of_the_whole(gpu):
    a, b, bias = normal(2, 130, 70), normal(70, 140), normal(140)
    whole = _check_matmul(gpu, a, b, bias)
    for most_bytes in (20_000, 5000):
        gpu.most_bytes = most_bytes
        assert_same_bits(gpu.matmul(a, b, bias, UNLIMITED), whole)


def test_products_of_infinities_and_nan(gpu):
    a, b = normal(3, 20), normal(20, 4)
    a[0, 3], a[1, 4], b[5, 1] = np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        expected = reference.matmul(a, b)
    product = gpu.matmul(a, b, None, UNLIMITED)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(product[~finite], expected[~finite])
    assert np.isfinite(product[finite]).all()


@pytest.mark.parametrize("columns", [1, 2, 63, 64, 65, 1000])
def test_rows(gpu, columns):
    x, weight, bias = normal(5, columns), normal(columns), normal(columns, seed=1)
    bounds.assert_close(gpu.softmax(x, UNLIMITED), reference.softmax(x), softmax("gpu", x))
    for w, b in ((None, None), (weight, None), (None, bias), (weight, bias)):
        bounds.assert_close(
            gpu.layer_norm(x, w, b, 1e-5, UNLIMITED),
            reference.layer_norm(x, w, b),
            layer_norm("gpu", x, w, b),
        )


def test_softmax_of_special_values(gpu):
    x = normal(4, 70)
    x[0, 5], x[1, 6], x[2, 7], x[3] = -np.inf, np.inf, np.nan, -np.inf
    weights = gpu.softmax(x, UNLIMITED)
    bounds.assert_close(weights[:1], reference.softmax(x[:1]), softmax("gpu", x[:1]))
    assert weights[0, 5] == 0
    assert np.isnan(weights[1:]).all()


def test_rows_in_parts_have_the_bits_of_the_whole(gpu):
    x = normal(50, 70)
    whole = gpu.softmax(x, UNLIMITED), gpu.layer_norm(x, None, None, 1e-5, UNLIMITED)
    gpu.most_bytes = 2000
    assert_same_bits(gpu.softmax(x, UNLIMITED), whole[0])
    assert_same_bits(gpu.layer_norm(x, None, None, 1e-5, UNLIMITED), whole[1])


def test_more_rows_than_one_dimension_of_a_grid_has_workgroups(gpu):
    x = normal(66_000, 1)
    bounds.assert_close(gpu.softmax(x, UNLIMITED), reference.softmax(x), softmax("gpu", x))


def test_a_row_that_no_buffer_holds_is_refused(gpu):
    gpu.most_bytes = 2000
    with pytest.raises(fw.CapabilityError, match="accepts rows of at most 500 elements"):
        gpu.softmax(normal(2, 501), UNLIMITED)


def test_a_long_inner_dimension(gpu):
    """A driver on the CPU leaves loops after 65,535 iterations: see `Device.most_iterations`."""
    ones = np.ones((1, 50_000), np.float32)
    assert gpu.matmul(ones, ones.T, None, UNLIMITED) == 50_000


def test_a_long_row(gpu):
    x = np.zeros((1, 1_280_000), np.float32)
    np.testing.assert_allclose(gpu.softmax(x, UNLIMITED), 1 / x.size, rtol=1e-6)
    if gpu.description().count("CPU"):
        with pytest.raises(fw.CapabilityError, match="rows of at most 1280000 elements on this"):
            gpu.softmax(np.zeros((1, 1_280_001), np.float32), UNLIMITED)


def test_empty_rows(gpu):
    assert gpu.softmax(normal(0, 3), UNLIMITED).shape == (0, 3)
    assert gpu.softmax(normal(3, 0), UNLIMITED).shape == (3, 0)
