"""Work that is split among threads: a helper thread runs a part, and the bits stay the same."""

import pytest

import flashwasm as fw
from sample_arrays import assert_same_bits, normal


def test_a_large_softmax_is_split(threaded_runtime, one_thread):
    x = normal(300, 1000)
    found = fw.softmax(x, runtime=threaded_runtime)
    assert_same_bits(found, fw.softmax(x, runtime=one_thread))


@pytest.mark.parametrize("rows", [1, 10])
def test_a_small_softmax_is_not_split(rows):
    with fw.Runtime(threads=2) as runtime:
        fw.softmax(normal(rows, 1000), runtime=runtime)
        assert runtime.workers.helper_tasks == 0
