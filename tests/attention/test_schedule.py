"""The schedule of attention, its division into calls, does not change any bit."""

import functools

import numpy as np
import pytest

from flashwasm.flash_attention.attention import attend
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.flash_attention.schedule import BlockSchedule, RowSchedule, Workload
from flashwasm.kernel_table import ATTENTION_KEY_RUN, ATTENTION_QUERY_BLOCK
from sample_arrays import assert_same_bits, normal

HEADS, KEY_HEADS, QUERIES, KEYS, DIM = 4, 2, 300, 3 * ATTENTION_KEY_RUN - 86, 24

# Two schedules whose calls hand partial results on: from call to call, and to a merging call.
HANDING_ON = [
    BlockSchedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=ATTENTION_KEY_RUN),
    RowSchedule(heads=2, queries=QUERIES, keys=ATTENTION_KEY_RUN),
]
SCHEDULES = [
    *HANDING_ON,
    BlockSchedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=KEYS),
    BlockSchedule(heads=3, queries=QUERIES, keys=KEYS),
    BlockSchedule(heads=1, queries=2 * ATTENTION_QUERY_BLOCK, keys=KEYS),
    BlockSchedule(heads=1, queries=ATTENTION_QUERY_BLOCK, keys=2 * ATTENTION_KEY_RUN),
    RowSchedule(heads=2, queries=QUERIES, keys=KEYS),
    RowSchedule(heads=4, queries=7, keys=KEYS),
]


def inputs(causal):
    q, k = normal(2, HEADS, QUERIES, DIM), normal(2, KEY_HEADS, KEYS, DIM, seed=1)
    v, mask = normal(2, KEY_HEADS, KEYS, 40, seed=2), normal(QUERIES, KEYS, seed=3) > -1
    return checked_inputs(q, k, v, {**DEFAULTS, "causal": causal, "mask": mask})


def computed(runtime, inputs, schedule=None):
    """Return the output and the log-sum-exp of checked inputs."""
    return attend(runtime, inputs, with_lse=True, schedule=schedule)


@functools.cache
def computed_as_chosen(runtime, causal):
    """Return the same by the schedule that is chosen for the inputs, computed once."""
    return computed(runtime, inputs(causal))


def assert_both_same_bits(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("causal", [False, "bottom_right", -200, 700])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_a_schedule_changes_no_bit(one_thread, causal, schedule):
    actual = computed(one_thread, inputs(causal), schedule)
    assert_both_same_bits(actual, computed_as_chosen(one_thread, causal))


@pytest.mark.parametrize("schedule", HANDING_ON, ids=str)
def test_partial_results_change_no_bit_in_any_build(runtime, schedule):
    actual = computed(runtime, inputs("bottom_right"), schedule)
    assert_both_same_bits(actual, computed_as_chosen(runtime, "bottom_right"))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_a_schedule_changes_no_bit_on_several_threads(threaded_runtime, one_thread, schedule):
    actual = computed(threaded_runtime, inputs("bottom_right"), schedule)
    assert_both_same_bits(actual, computed_as_chosen(one_thread, "bottom_right"))


OPTIONS = {
    "plain": {},
    "window": {"window": (100, 7), "causal": 300},
    "softcap": {"softcap": 3.0},
    "alibi": {"alibi_slopes": [0.1, 0.02], "causal": "bottom_right"},
    "sinks": {"sinks": [0.5, -np.inf]},
    "dropout": {"dropout": 0.3, "seed": 11},
    "boolean": {"mask": normal(2, 3, 900, seed=4) > 0.5},
    "additive": {"mask": np.where(normal(2, 3, 900, seed=4) > 0, normal(3, 900), -np.inf)},
    "lengths": {"kv_lengths": 777},
    "all": {
        "window": (400, 90),
        "causal": 500,
        "softcap": 5.0,
        "alibi_slopes": [0.1, 0.02],
        "sinks": [0.1, 3.0],
        "dropout": 0.2,
        "seed": 3,
        "mask": normal(3, 900, seed=5) > -1,
    },
}


@pytest.mark.parametrize("spoiled", [False, True], ids=["finite", "with NaN"])
@pytest.mark.parametrize(("dim", "value_dim"), [(64, 64), (6, 35), (5, 3), (32, 50)])
@pytest.mark.parametrize("name", OPTIONS)
def test_single_queries_and_blocks_give_the_same_bits(runtime, name, dim, value_dim, spoiled):
    q, k = normal(2, 3, dim), normal(1, 900, dim, seed=1)
    v = normal(1, 900, value_dim, seed=2)
    if spoiled:
        k[0, 130:133], v[0, 140:800:30] = np.nan, np.inf
    given = checked_inputs(q, k, v, {**DEFAULTS, **OPTIONS[name]})
    by_block = computed(runtime, given, BlockSchedule(2, 3, 900))
    for keys in (ATTENTION_KEY_RUN, 1024):
        assert_both_same_bits(computed(runtime, given, RowSchedule(2, 2, keys)), by_block)


@pytest.mark.parametrize("causal", [False, "top_left"])
def test_halves_of_halves_change_no_bit(runtime, causal):
    """Inputs that do not fit linear memory are split in halves, and these again."""
    whole, _ = computed_as_chosen(runtime, causal)
    pending, found = [((), inputs(causal))], np.empty_like(whole)
    for _ in range(7):
        pending = [half for index, part in pending for half in halves(index, part)]
    assert len(pending) >= 64
    for index, part in pending:
        target = found
        for step in index:
            target = target[step]
        target[...] = computed(runtime, part)[0]
    assert_same_bits(found, whole)


def halves(index, part):
    """Return the halves of a part, each with the indices that lead to it, or else the part."""
    found = [((*index, step), half) for step, half in part.halves()]
    return found or [(index, part)]


@pytest.mark.parametrize("heads", [1, 12])
@pytest.mark.parametrize("queries", [1, 128, 5000])
@pytest.mark.parametrize("keys", [0, 64, 100_000])
@pytest.mark.parametrize("threads", [1, 8])
def test_a_block_schedule_visits_every_query_and_key_once(heads, queries, keys, threads):
    schedule = BlockSchedule.choose(Workload(1, heads, 1, queries, keys, 128, threads))
    seen = np.zeros((heads, queries), np.int64)
    for task in schedule.plan(heads, queries, keys).tasks:
        for (h, h_end), (i, i_end), (j, j_end), finish in task:
            seen[h:h_end, i:i_end] += j_end - j
            assert j % ATTENTION_KEY_RUN == 0
            assert (j_end - j == keys) or (h_end - h == 1 and i_end - i <= ATTENTION_QUERY_BLOCK)
            assert finish == (j_end == keys)
    assert (seen == keys).all()


@pytest.mark.parametrize(("heads", "group"), [(1, 1), (12, 1), (12, 4)])
@pytest.mark.parametrize("keys", [0, 64, 100_000])
@pytest.mark.parametrize("queries", [1, 2, 500])
@pytest.mark.parametrize("threads", [1, 8])
def test_a_row_schedule_visits_every_key_once_and_finishes_once(
    heads, group, queries, keys, threads
):
    schedule = RowSchedule.choose(Workload(1, heads, group, queries, keys, 128, threads))
    seen, finished = np.zeros((2, heads, queries), np.int64)
    tasks, merge = schedule.plan(heads, queries, keys)
    for task in tasks if merge is None else [*tasks, [merge]]:
        for (h, h_end), (i, i_end), (j, j_end), finish in task:
            seen[h:h_end, i:i_end] += j_end - j
            finished[h:h_end, i:i_end] += finish
            assert j % ATTENTION_KEY_RUN == 0
    assert (seen == keys).all()
    assert (finished == 1).all()
