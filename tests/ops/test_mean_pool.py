"""mean_pool: against float64, at all sizes, layouts and types, with special values."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import bounds, reference
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def check(x, cu_seqlens, *, normalize=False, runtime=None):
    actual = fw.mean_pool(x, cu_seqlens, normalize=normalize, runtime=runtime)
    bounds.assert_close(
        actual,
        reference.mean_pool(x, cu_seqlens, normalize=normalize),
        bounds.mean_pool(x, cu_seqlens, normalize=normalize),
    )
    return actual


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("columns", [1, 3, 4, 5, 16, 17, 384])
def test_sizes(runtime, columns, normalize):
    check(normal(40, columns), [0, 1, 1, 5, 12, 40], normalize=normalize, runtime=runtime)


@hypothesis.given(data=st.data())
def test_random_sequences(runtime, data):
    lengths = data.draw(st.lists(st.integers(0, 9), max_size=9))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    x = normal(int(offsets[-1]) + 2, data.draw(st.integers(1, 40)))
    check(x, offsets, normalize=data.draw(st.booleans()), runtime=runtime)


def test_unit_length(runtime):
    y = check(normal(30, 50), [0, 10, 30], normalize=True, runtime=runtime)
    assert (np.abs(np.linalg.norm(y.astype(np.float64), axis=1) - 1) <= bounds.gamma(60)).all()


def test_empty_sequences_and_means_of_zero_are_zeros(runtime):
    x = np.float32([[1, -2], [-1, 2], [5, 5]])
    y = fw.mean_pool(x, [0, 0, 2, 2], normalize=True, runtime=runtime)
    assert not y.any()
    assert fw.mean_pool(x, [0], runtime=runtime).shape == (0, 2)


def test_special_values_change_only_their_own_sequence(runtime):
    x = normal(12, 20)
    expected = fw.mean_pool(x, [0, 4, 8, 12], runtime=runtime)
    x[5, 3] = np.nan
    actual = fw.mean_pool(x, [0, 4, 8, 12], runtime=runtime)
    assert np.isnan(actual[1, 3])
    assert_same_bits(actual[[0, 2]], expected[[0, 2]])


def test_layouts(runtime):
    x = normal(12, 20)
    expected = fw.mean_pool(x, [0, 5, 12], runtime=runtime)
    for _, relaid in layouts(x):
        assert_same_bits(fw.mean_pool(relaid, [0, 5, 12], runtime=runtime), expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_types(runtime, dtype):
    x = normal(12, 20).astype(dtype)
    expected = fw.mean_pool(x.astype(np.float32), [0, 5, 12], runtime=runtime)
    assert_same_bits(fw.mean_pool(x, [0, 5, 12], runtime=runtime), expected)


@pytest.mark.parametrize(
    ("x", "cu_seqlens", "options", "error", "message"),
    [
        (normal(4), [0, 4], {}, fw.ShapeError, r"\bx\b"),
        (normal(4, 2), [0, 5], {}, ValueError, r"\bcu_seqlens\b.*5"),
        (normal(4, 2), [1, 4], {}, ValueError, r"\bcu_seqlens\b"),
        (normal(4, 2), [0, 3, 2], {}, ValueError, r"\bcu_seqlens\b"),
        (normal(4, 2), [0, -1, 2], {}, ValueError, r"\bcu_seqlens\b"),
        (normal(4, 2), [0, 2**32 + 1], {}, ValueError, r"\bcu_seqlens\b"),
        (normal(4, 2), np.zeros(0, int), {}, fw.ShapeError, r"\bcu_seqlens\b"),
        (normal(4, 2), [[0, 4]], {}, fw.ShapeError, r"\bcu_seqlens\b"),
        (normal(4, 2), [0.0, 4.0], {}, fw.DTypeError, r"\bcu_seqlens\b"),
        (np.ones((4, 2), int), [0, 4], {}, fw.DTypeError, r"\bx\b.*int64"),
        (normal(4, 2), [0, 4], {"out": np.empty((2, 2), np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(x, cu_seqlens, options, error, message):
    with pytest.raises(error, match=message):
        fw.mean_pool(x, cu_seqlens, **options)
