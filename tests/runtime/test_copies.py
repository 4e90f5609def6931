"""Copies are made in pieces, with a check of the deadline between two of them."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.runtime.copies import copy_in_pieces
from flashwasm.runtime.work_limits import MOST_ELEMENTS
from sample_arrays import FLOAT_TYPES, assert_same_bits, normal

LARGE = 3 * MOST_ELEMENTS + 7


class Looks:
    """A function that counts its calls, and raises an error at one of them."""

    def __init__(self, last=None):
        self.count = 0
        self.last = last

    def __call__(self):
        self.count += 1
        if self.count == self.last:
            raise fw.DeadlineExceeded


@pytest.mark.parametrize("dtype", [*FLOAT_TYPES, ">f4"])
@pytest.mark.parametrize("shape", [(LARGE,), (3, LARGE // 3), (LARGE // 5, 5), (1, 7, LARGE // 7)])
def test_there_is_a_look_for_each_piece(shape, dtype):
    source, target, looks = normal(*shape).astype(dtype), np.empty(shape, np.float32), Looks()
    copy_in_pieces(target, source, looks)
    assert_same_bits(target, source.astype(np.float32))
    assert looks.count >= source.size // MOST_ELEMENTS


def test_views_and_scalars():
    source = normal(2000, 1700)
    target = np.zeros((1700, 2000), np.float32)
    copy_in_pieces(target, source.T, looks := Looks())
    assert_same_bits(target, np.ascontiguousarray(source.T))
    copy_in_pieces(target[:, ::2], np.float32(3), looks)
    assert (target[:, ::2] == 3).all()
    assert_same_bits(np.ascontiguousarray(target[:, 1::2]), np.ascontiguousarray(source.T[:, 1::2]))


def test_long_elements_make_smaller_pieces():
    source = np.zeros(40, "S1000000")
    source[7] = b"x"
    copy_in_pieces(target := np.empty_like(source), source, looks := Looks())
    assert (target == source).all()
    assert looks.count >= 10


def test_an_error_ends_the_copy():
    target = np.zeros(LARGE, np.float32)
    with pytest.raises(fw.DeadlineExceeded):
        copy_in_pieces(target, np.ones(LARGE, np.float32), Looks(last=3))
    assert target.sum() == 2 * MOST_ELEMENTS


@pytest.mark.parametrize("dtype", [np.float16, ">f4"])
def test_asarray_keeps_the_timeout_of_its_runtime(monkeypatch, dtype):
    now = iter(range(1000))
    monkeypatch.setattr("flashwasm.runtime.deadline.monotonic", lambda: float(next(now)))
    source = np.ones(LARGE, dtype)
    with fw.Runtime(threads=1) as rt:
        rt.timeout = 2
        with pytest.raises(fw.DeadlineExceeded, match="asarray"):
            rt.asarray(source, np.float32)
        assert rt.stats().bytes_in_use == 0
        rt.timeout = 100
        assert rt.asarray(source, np.float32).sum() == LARGE


def test_the_copy_to_out_of_a_split_call_keeps_the_timeout(monkeypatch):
    x = normal(64, MOST_ELEMENTS // 16)
    out = np.zeros_like(x)
    with fw.Runtime(threads=1, max_memory=12 << 20) as rt:
        expected = fw.softmax(x, runtime=rt)
        copies = []

        def copied(target, source, between):
            if target is out:
                copies.append(between)
                monkeypatch.setattr("flashwasm.runtime.deadline.monotonic", lambda: 1e18)
            copy_in_pieces(target, source, between)

        monkeypatch.setattr("flashwasm.runtime.splitting.copy_in_pieces", copied)
        with pytest.raises(fw.DeadlineExceeded):
            fw.softmax(x, out=out, runtime=rt, timeout=1000)
        assert len(copies) == 1, "the call was not split"
        monkeypatch.undo()
        assert_same_bits(fw.softmax(x, out=out, runtime=rt), expected)
