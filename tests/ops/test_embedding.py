"""embedding: returned rows have the same bits as in the table."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import flashwasm as fw
from flashwasm.oracles import reference
from sample_arrays import FLOAT_TYPES, SPECIAL, assert_same_bits, layouts, normal


def check(ids, table, **options):
    assert_same_bits(fw.embedding(ids, table, **options), reference.embedding(ids, table))


@pytest.mark.parametrize("columns", [1, 3, 4, 15, 16, 17, 384])
@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_sizes(runtime, columns, count):
    ids = np.random.default_rng(0).integers(0, 50, count)
    check(ids, normal(50, columns), runtime=runtime)


@pytest.mark.parametrize("ids_shape", [(), (4,), (2, 3), (2, 0, 3), (1, 2, 3)])
@pytest.mark.parametrize("row_shape", [(), (5,), (2, 3), (0,)])
def test_shapes(runtime, ids_shape, row_shape):
    ids = np.random.default_rng(0).integers(0, 7, ids_shape)
    check(ids, normal(7, *row_shape), runtime=runtime)


def test_negative_ids_count_from_the_end(runtime):
    check([-1, -7, 0, 6], normal(7, 5), runtime=runtime)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4"])
def test_integer_types(runtime, dtype):
    check(np.array([0, 6, 3], dtype), normal(7, 5), runtime=runtime)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_table_types(runtime, dtype):
    check([1, 0, 2], normal(3, 9).astype(dtype), runtime=runtime)


def test_values_are_copied_as_they_are(runtime):
    check([1, 0], np.stack([SPECIAL, SPECIAL[::-1]]), runtime=runtime)


def test_layouts(runtime):
    table, ids = normal(11, 19), np.array([[3, 10], [-11, 0]])
    for (_, table_view), (_, ids_view) in zip(layouts(table), layouts(ids), strict=True):
        check(ids_view, table_view, runtime=runtime)


@hypothesis.given(data=st.data())
def test_random_ids(runtime, data):
    rows = data.draw(st.integers(1, 40))
    ids = data.draw(st.lists(st.integers(-rows, rows - 1), max_size=50))
    check(np.array(ids, np.int64), normal(rows, data.draw(st.integers(1, 40))), runtime=runtime)


@pytest.mark.parametrize("bad", [7, -8, 2**31, 2**32, 2**32 + 3, -(2**31) - 1, 2**63 - 1, -(2**63)])
def test_ids_outside_the_table(runtime, bad):
    """The error is an IndexError, as in NumPy, and a ShapeError. No id is taken modulo 2^32."""
    with pytest.raises(fw.ShapeError, match=rf"\bids\b.*{bad}") as caught:
        fw.embedding(np.array([0, bad, 1]), normal(7, 5), runtime=runtime)
    assert isinstance(caught.value, IndexError)
    check([0, 1], normal(7, 5), runtime=runtime)


def test_unsigned_id_beyond_int64(runtime):
    with pytest.raises(IndexError, match=r"\bids\b"):
        fw.embedding(np.array([2**64 - 1], np.uint64), normal(7, 5), runtime=runtime)


@pytest.mark.parametrize(
    ("ids", "table", "options", "error", "message"),
    [
        ([0.0, 1.0], normal(3, 2), {}, fw.DTypeError, r"\bids\b.*float64"),
        ([True, False], normal(3, 2), {}, fw.DTypeError, r"\bids\b.*bool"),
        ([0], np.ones((3, 2), int), {}, fw.DTypeError, r"\btable\b.*int64"),
        ([0], np.float32(1), {}, fw.ShapeError, r"\btable\b"),
        ([0], normal(0, 2), {}, IndexError, r"\bids\b"),
        ([0], normal(3, 2), {"out": np.empty((2, 2), np.float32)}, fw.ShapeError, r"\bout\b"),
    ],
)
def test_wrong_arguments(ids, table, options, error, message):
    with pytest.raises(error, match=message):
        fw.embedding(ids, table, **options)
