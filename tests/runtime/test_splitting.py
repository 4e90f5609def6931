"""Splitting problems into halves if memory is short, and splitting work into tasks."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.runtime.splitting import axis_to_split, in_halves, in_parts
from flashwasm.runtime.tasks import row_tasks, wanted_calls
from flashwasm.runtime.work_limits import (
    FEWEST_ELEMENTS,
    FEWEST_PRODUCTS,
    MOST_ELEMENTS,
    MOST_PRODUCTS,
)
from sample_arrays import assert_same_bits, normal


def too_large():
    raise fw.OutOfMemoryError(3, 2, 1)


def halves_of_a_list(items):
    middle = len(items) // 2
    if not middle:
        return None
    return (items[:middle], items[middle:]), lambda found: [x for part in found for x in part]


def test_parts_come_in_order_and_are_as_large_as_fits():
    computed = []

    def compute(items):
        if len(items) > 3:
            too_large()
        computed.append(items)
        return items

    assert in_halves(list(range(10)), compute, halves_of_a_list) == list(range(10))
    assert computed == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]


def test_a_part_that_cannot_be_split_raises():
    with pytest.raises(fw.OutOfMemoryError):
        in_halves([1, 2], lambda _: too_large(), halves_of_a_list)


@pytest.mark.parametrize("shape", [(5, 3, 4), (1, 7, 4), (1, 1, 9), (2, 1, 1)])
@pytest.mark.parametrize("with_out", [False, True])
def test_arrays_are_split_along_the_first_axis_that_can_be(shape, with_out):
    x = normal(*shape)
    sizes = []

    def compute(part):
        (operand,), target = part
        if operand.size > 4:
            too_large()
        sizes.append(operand.size)
        if target is None:
            return 2 * operand
        np.multiply(operand, 2, out=target)
        return target

    out = np.empty(shape, np.float32) if with_out else None
    result = in_parts(compute, (x,), shape, 3, out, lambda: None)
    assert (result is out) == with_out
    assert_same_bits(result, 2 * x)
    assert sum(sizes) == x.size


def test_axes_of_a_row_are_not_split():
    with pytest.raises(fw.OutOfMemoryError):
        in_parts(lambda _: too_large(), (normal(1, 8),), (1, 8), 1, None, lambda: None)
    assert axis_to_split(()) is None
    assert axis_to_split((1, 0, 1)) is None
    assert axis_to_split((1, 3, 9)) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (0, 5),
        (1, 1),
        (FEWEST_ELEMENTS, 1),
        (FEWEST_ELEMENTS + 1, 1),
        (3, FEWEST_ELEMENTS),
        (997, 1009),
        (4_000_037, 1),
        (100_003, 17),
        (2, 2 * MOST_ELEMENTS),
    ],
)
def test_tasks_cover_each_row_once(rows, columns, threads):
    tasks = row_tasks(rows, columns, threads)
    begins, counts = zip(*tasks, strict=True)
    assert list(begins) == [sum(counts[:i]) for i in range(len(counts))]
    assert sum(counts) == rows
    assert all(count * columns <= MOST_ELEMENTS or count == 1 for count in counts)
    if rows * columns > FEWEST_ELEMENTS and rows > 1 and threads > 1:
        assert len(tasks) > 1
    if columns < 16:
        assert all(begin % 16 == 0 for begin in begins)


def test_calls_are_neither_small_nor_large():
    assert wanted_calls(0, 8) == 1
    assert wanted_calls(FEWEST_PRODUCTS - 1, 8) == 1
    assert wanted_calls(3 * FEWEST_PRODUCTS, 8) == 3
    assert wanted_calls(100 * FEWEST_PRODUCTS, 8) == 8
    assert wanted_calls(100 * MOST_PRODUCTS + 1, 8) == 101
