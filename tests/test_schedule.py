"""How attention is cut into calls changes no bit of what it computes."""

import numpy as np
import pytest

from flashwasm.flash_attention.dense import attend
from flashwasm.flash_attention.problem import checked_problem
from flashwasm.flash_attention.schedule import Schedule
from flashwasm.kernels import ATTENTION_KEY_BLOCK, ATTENTION_QUERY_BLOCK
from samples import assert_same_bits, normal

HEADS, KEY_HEADS, QUERIES, KEYS, DIM = 4, 2, 300, 450, 24

SCHEDULES = [
    Schedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=KEYS),
    Schedule(heads=3, queries=QUERIES, keys=KEYS),
    Schedule(heads=1, queries=2 * ATTENTION_QUERY_BLOCK, keys=KEYS),
    Schedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=ATTENTION_KEY_BLOCK),
    Schedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=3 * ATTENTION_KEY_BLOCK),
]


def problem(causal):
    q, k = normal(2, HEADS, QUERIES, DIM), normal(2, KEY_HEADS, KEYS, DIM, seed=1)
    v, mask = normal(2, KEY_HEADS, KEYS, 40, seed=2), normal(QUERIES, KEYS, seed=3) > -1
    return checked_problem(q, k, v, causal=causal, mask=mask)


@pytest.mark.parametrize("causal", [False, "bottom_right", -200])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_chunk_sizes_change_no_bit(runtime, causal, schedule):
    whole, whole_lse = attend(runtime, problem(causal), None, None, with_lse=True)
    cut, cut_lse = attend(runtime, problem(causal), None, None, with_lse=True, schedule=schedule)
    assert_same_bits(cut, whole)
    assert_same_bits(cut_lse, whole_lse)


@pytest.mark.parametrize("causal", [False, "top_left"])
def test_parts_of_a_problem_change_no_bit(runtime, causal):
    """What is computed in parts where memory is short is what is computed at once elsewhere."""
    whole, _ = attend(runtime, problem(causal), None, None, with_lse=False)
    pending, found = [((), problem(causal))], np.empty_like(whole)
    for _ in range(7):
        pending = [
            (index, part) for index, p in pending for index, part in nested(index, p)
        ] or pending
    for index, part in pending:
        target = found
        for step in index:
            target = target[step]
        target[...] = attend(runtime, part, None, None, with_lse=False)[0]
    assert_same_bits(found, whole)


def nested(index, p):
    """Return the halves of a part with the steps that lead to each, or itself where it is least."""
    halves = list(p.halves())
    return [((*index, step), part) for step, part in halves] if halves else [(index, p)]


@pytest.mark.parametrize("heads", [1, 12])
@pytest.mark.parametrize("queries", [1, 128, 5000])
@pytest.mark.parametrize("keys", [0, 64, 100_000])
@pytest.mark.parametrize("threads", [1, 8])
def test_every_row_and_key_is_visited_once(heads, queries, keys, threads):
    schedule = Schedule.choose(1, heads, queries, keys, 128, threads)
    seen = np.zeros((heads, queries), np.int64)
    for task in schedule.pieces(heads, queries, keys):
        for h, h_end, i, i_end, j, j_end in task:
            seen[h:h_end, i:i_end] += j_end - j
            assert j % ATTENTION_KEY_BLOCK == 0
            assert (j_end - j == keys) or (h_end - h == 1 and i_end - i <= ATTENTION_QUERY_BLOCK)
    assert (seen == keys).all()
