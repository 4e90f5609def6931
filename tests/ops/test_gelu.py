"""gelu: both forms against float64, over the whole range of float32."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal

FORMS = ["none", "tanh"]


def check(x, approximate="none", **options):
    actual = fw.gelu(x, approximate, **options)
    bounds.assert_close(actual, reference.gelu(x, approximate), bounds.gelu(x, approximate))
    return actual


@pytest.mark.parametrize("approximate", FORMS)
@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 17, 1000])
def test_sizes(runtime, n, approximate):
    check(3 * normal(n), approximate, runtime=runtime)


@pytest.mark.parametrize("approximate", FORMS)
def test_the_whole_range(runtime, approximate):
    """Many values where the curve bends, and values of every magnitude of float32."""
    dense = np.linspace(-15, 15, 200_001, dtype=np.float32)
    wide = np.geomspace(1e-45, 3e38, 20_000).astype(np.float32)
    check(np.concatenate([dense, wide, -wide]), approximate, runtime=runtime)


@pytest.mark.parametrize("approximate", FORMS)
def test_special_values(runtime, approximate):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], np.float32)
    actual = fw.gelu(x, approximate, runtime=runtime)
    assert np.isnan(actual[[0, 2]]).all()  # -inf times 0.
    assert actual[1] == np.inf
    assert not actual[3:5].any()
    assert actual[5] > 0


def test_the_two_forms_differ(one_thread):
    x = np.float32([-1, 1, 2])
    exact, tanh = (fw.gelu(x, form, runtime=one_thread) for form in FORMS)
    assert (np.abs(exact - tanh) > 1e-5).all()


def test_layouts(runtime):
    x = normal(6, 37)
    expected = fw.gelu(x, runtime=runtime)
    for _, relaid in layouts(x):
        assert_same_bits(fw.gelu(relaid, runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    x = normal(5, 19).astype(dtype)
    assert_same_bits(fw.gelu(x, runtime=runtime), fw.gelu(x.astype(np.float32), runtime=runtime))


@hypothesis.given(shape=st.lists(st.integers(0, 7), max_size=4))
def test_random_shapes(runtime, shape):
    check(normal(*shape), runtime=runtime)


def test_in_place(runtime):
    x = normal(9, 30)
    expected = fw.gelu(x, runtime=runtime)
    assert fw.gelu(x, out=x, runtime=runtime) is x
    assert_same_bits(x, expected)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (normal(3), {"approximate": "erf"}, ValueError, r"\bapproximate\b.*erf"),
        (normal(3), {"approximate": None}, TypeError, r"\bapproximate\b"),
        (np.ones(3, int), {}, fw.DTypeError, r"\bx\b.*int64"),
        (normal(3), {"out": np.empty(4, np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(x, options, error, message):
    with pytest.raises(error, match=message):
        fw.gelu(x, **options)
