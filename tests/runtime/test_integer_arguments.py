"""Integers beyond 64 bits in lists: NumPy makes floats or objects of them, the errors name them."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.integer_checks import integers
from sample_arrays import normal

X = normal(6, 4)
PACKED = normal(6, 2, 4)
BATCH = normal(2, 2, 3, 4)
ANGLES = np.cos(normal(6, 2)), np.sin(normal(6, 2))
BEYOND = (2**63, 2**64, 10**30, -(2**63) - 1)
CALLS = {
    "ids": (lambda x: fw.embedding(x, X), fw.IndexRangeError),
    "position_ids": (
        lambda x: fw.rotary_embedding(normal(1, 2, 2, 4), *ANGLES, position_ids=[x]),
        fw.IndexRangeError,
    ),
    "cu_seqlens": (lambda x: fw.mean_pool(X, [0, *x]), fw.IndexRangeError),
    "cu_seqlens_q": (
        lambda x: fw.attention_varlen(PACKED, PACKED, PACKED, [0, *x]),
        fw.IndexRangeError,
    ),
    "kv_lengths": (lambda x: fw.attention(BATCH, BATCH, BATCH, kv_lengths=x), fw.ShapeError),
}


@pytest.mark.parametrize("beyond", BEYOND)
@pytest.mark.parametrize("name", CALLS)
def test_the_error_is_about_the_integer(name, beyond):
    call, error = CALLS[name]
    with pytest.raises(error, match=rf"^{name}: .*{beyond}"):
        call([beyond, 5])


def test_offsets_of_the_diagonal_may_have_any_size():
    for far, near in ((10**30, 3), (-(10**30), -3)):
        found = fw.attention(BATCH, BATCH, BATCH, causal=[far, 0])
        np.testing.assert_array_equal(found, fw.attention(BATCH, BATCH, BATCH, causal=[near, 0]))


@pytest.mark.parametrize(
    "offsets", [[], (), np.array([]), np.array([], np.int32), np.empty((0, 2))], ids=repr
)
def test_empty_offsets_have_the_wrong_shape(offsets):
    for call in (
        lambda: fw.mean_pool(X, offsets),
        lambda: fw.attention_varlen(PACKED, PACKED, PACKED, offsets),
    ):
        with pytest.raises(fw.ShapeError, match=r"^cu_seqlens\w*: expected shape \(n \+ 1,\), got"):
            call()


@pytest.mark.parametrize("wrong", [[1.5, 2**63], [True, 2**64], [None, 2**64], [float("nan")]])
def test_lists_of_other_numbers_are_no_integers(wrong):
    with pytest.raises(fw.DTypeError, match=r"^x: expected integers, got (float64|object)"):
        integers(wrong, "x")


def test_integers_of_different_dtypes_are_integers():
    found = integers([np.uint64(2), np.int64(-3)], "x")
    assert (found.dtype, found.tolist()) == (np.int64, [2, -3])
