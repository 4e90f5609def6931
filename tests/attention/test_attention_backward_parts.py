"""The gradient of attention in parts: alone, on threads, in calls, and with little memory."""

from dataclasses import replace

import numpy as np
import pytest

import flashwasm as fw
from attention_gradients import assert_all_same_bits, gradients, qkv
from flashwasm.flash_attention.backward import BackwardInputs, add_gradients
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.flash_attention.schedule import BlockSchedule
from sample_arrays import normal


@pytest.mark.parametrize("causal", [False, "bottom_right"])
def test_bits_do_not_depend_on_other_entries_or_heads(runtime, causal):
    """A batch entry, or a key head with its query heads, is computed alone and among others."""
    q, k, v = qkv(150, 200)
    dout, whole = gradients(q, k, v, causal=causal, runtime=runtime)
    out, lse = fw.attention(q, k, v, causal=causal, return_lse=True, runtime=runtime)
    for wide, narrow in (((1,), (1,)), ((1, slice(2, 4)), (1, slice(1, 2)))):
        alone = fw.attention_backward(
            dout[wide],
            q[wide],
            k[narrow],
            v[narrow],
            out[wide],
            lse[wide],
            causal=causal,
            runtime=runtime,
        )
        assert_all_same_bits(alone, (whole[0][wide], whole[1][narrow], whole[2][narrow]))


@pytest.mark.parametrize("options", [{}, {"causal": "top_left", "dropout": 0.2, "seed": 1}])
@pytest.mark.parametrize(("heads", "key_heads"), [(1, 1), (5, 5), (6, 2)])
def test_bits_do_not_depend_on_threads(threaded_runtime, one_thread, heads, key_heads, options):
    operands = qkv(150, 260, heads=heads, key_heads=key_heads)
    expected = gradients(*operands, runtime=one_thread, **options)[1]
    assert_all_same_bits(gradients(*operands, runtime=threaded_runtime, **options)[1], expected)


def test_bits_do_not_depend_on_threads_where_batch_entries_share_keys(threaded_runtime, one_thread):
    q, k, v = normal(5, 4, 70, 8), normal(2, 90, 8, seed=1), normal(1, 2, 90, 8, seed=2)
    expected = gradients(q, k, v, runtime=one_thread)[1]
    assert_all_same_bits(gradients(q, k, v, runtime=threaded_runtime)[1], expected)


def without_gradients_yet(causal, lead=(2,)):
    """Return inputs whose gradients are zeros so far."""
    q, k, v = qkv(200, 330, leading=lead)
    k = k[:1] if lead else k  # All batch entries share the keys of the first.
    options = {"causal": causal, "mask": normal(200, 330, seed=4) > -1, "dropout": 0.1, "seed": 6}
    out, lse = fw.attention(q, k, v, return_lse=True, **options)
    inputs = checked_inputs(q, k, v, {**DEFAULTS, **options})
    zeros = replace(
        inputs,
        q=np.zeros_like(inputs.q),
        k=np.zeros_like(inputs.k),
        v=np.zeros_like(inputs.v),
    )
    return BackwardInputs(inputs, zeros, normal(*out.shape, seed=3), out, lse)


def sums(work):
    return work.gradients.q, work.gradients.k, work.gradients.v


@pytest.mark.parametrize("causal", [False, "bottom_right", -100])
@pytest.mark.parametrize(
    "schedule",
    [
        BlockSchedule(1, 64, 330),
        BlockSchedule(2, 200, 330),
        BlockSchedule(1, 64, 64),
        BlockSchedule(1, 128, 128),
    ],
    ids=str,
)
def test_a_schedule_changes_no_bit(runtime, causal, schedule):
    whole, split = without_gradients_yet(causal), without_gradients_yet(causal)
    add_gradients(runtime, whole, None)
    add_gradients(runtime, split, None, schedule)
    assert_all_same_bits(sums(split), sums(whole))


@pytest.mark.parametrize("lead", [(2,), ()])
def test_halves_of_halves_change_no_bit(runtime, lead):
    """Batch entries, key heads, query heads and queries are split; each part adds to the last."""
    whole = without_gradients_yet("bottom_right", lead)
    split = without_gradients_yet("bottom_right", lead)
    add_gradients(runtime, whole, None)
    pending = [split]
    for _ in range(6):
        pending = [half for part in pending for half in (list(part.halves()) or [part])]
    assert len(pending) >= 32
    for part in pending:
        add_gradients(runtime, part, None)
    assert_all_same_bits(sums(split), sums(whole))


def test_larger_than_memory(one_thread):
    """There is memory for one batch entry, for one key head, or for some of its queries."""
    operands = qkv(900, 500, 32, 32)
    expected = gradients(*operands, causal="bottom_right", runtime=one_thread)[1]
    for quarters in (14, 10, 9, 7, 6):
        with fw.Runtime(threads=1, max_memory=quarters << 18) as small:
            actual = gradients(*operands, causal="bottom_right", runtime=small)[1]
            assert_all_same_bits(actual, expected)
    with (
        fw.Runtime(threads=1, max_memory=5 << 18) as small,
        pytest.raises(fw.OutOfMemoryError, match=r"\d+ bytes.*in use.*allowed"),
    ):
        gradients(*operands, runtime=small)


def test_resident_operands_are_not_copied(one_thread):
    q, k, v = qkv(70, 90)
    dout, expected = gradients(q, k, v, runtime=one_thread)
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=one_thread)
    given = [one_thread.asarray(x) for x in (dout, q, k, v, out, lse)]
    before = one_thread.stats().copy_seconds
    actual = fw.attention_backward(*given, runtime=one_thread)
    assert one_thread.stats().copy_seconds == before
    assert all(map(one_thread.holds, actual))
    assert_all_same_bits(actual, expected)


def test_memory_for_operands_and_gradients_only():
    """The matrix of scores would take 64 MiB. Memory beyond the operands is O(length)."""
    x = normal(4096, 32)
    out, lse = fw.attention(x, x, x, return_lse=True)
    with fw.Runtime(threads=1) as rt:
        fw.attention_backward(x, x, x, x, out, lse, runtime=rt)
        assert rt.stats().bytes_peak <= 8 * x.nbytes + lse.nbytes + 64 * 4096
