"""Dropout depends only on the seed and on positions, not on the division of the work."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.oracles import reference
from sample_arrays import assert_same_bits, normal

# Counter, key and result: the known answers of Philox 4x32-10 that Random123 publishes.
ANSWERS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def expected(q, k, v, p, seed, **options):
    kept = reference.kept_weights((*q.shape[:-1], k.shape[-2]), p, seed)
    return reference.attention(q, k, v, kept=kept, **options)[0]


def operands(queries=150, keys=139):
    return normal(2, 4, queries, 16), normal(2, 2, keys, 16, seed=1), normal(2, 2, keys, 9, seed=2)


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_the_generator_of_the_oracle_gives_known_answers(counter, key, answer):
    assert [int(word) for word in reference.philox(counter, key)] == answer


@pytest.mark.parametrize("p", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_weights_are_dropped_by_the_generators_numbers(runtime, p, seed):
    q, k, v = operands()
    out = fw.attention(q, k, v, dropout=p, seed=seed, causal="bottom_right", runtime=runtime)
    right = expected(q, k, v, p, seed, causal="bottom_right")
    np.testing.assert_allclose(out, right, rtol=0, atol=2e-6 / (1 - p))


def test_the_log_sum_exp_is_without_dropout(runtime):
    q, k, v = operands()
    _, plain = fw.attention(q, k, v, return_lse=True, runtime=runtime)
    _, lse = fw.attention(q, k, v, dropout=0.3, seed=1, return_lse=True, runtime=runtime)
    assert_same_bits(lse, plain)


def test_parts_drop_the_same_weights_as_the_whole():
    """There is memory for one head at a time, or for some of its queries."""
    q, k, v = operands(queries=3000, keys=300)
    whole = fw.attention(q, k, v, dropout=0.4, seed=5)
    for limit in (1 << 21, 7 << 18):
        with fw.Runtime(threads=1, max_memory=limit) as small:
            assert_same_bits(fw.attention(q, k, v, dropout=0.4, seed=5, runtime=small), whole)


def test_a_packed_sequence_is_a_batch_entry():
    q, k, v = (x[:, :2] for x in operands(90, 90))
    whole = fw.attention(q, k, v, dropout=0.2, seed=3)
    packed = [np.concatenate(list(x.swapaxes(1, 2))) for x in (q, k, v)]
    out = fw.attention_varlen(*packed, [0, 90, 180], dropout=0.2, seed=3)
    assert_same_bits(np.ascontiguousarray(out.reshape(2, 90, 2, 9).swapaxes(1, 2)), whole)


def test_the_share_that_is_dropped():
    ones = np.ones((1, 1, 1000, 4), np.float32)
    out = fw.attention(ones, ones, ones, dropout=0.25, seed=11)
    # The mean of 10**6 draws is within six standard deviations of 1.
    assert abs(out.mean() - 1) < 6 * np.sqrt(0.25 / 0.75 / 1e6)


def test_each_call_without_a_seed_draws_its_own():
    q, k, v = operands()
    first, second = (fw.attention(q, k, v, dropout=0.5) for _ in range(2))
    assert (first != second).any()
    assert_same_bits(fw.attention(q, k, v, dropout=0.0, seed=9), fw.attention(q, k, v))


def test_a_hidden_nan_stays_hidden_with_dropout():
    """A NaN behind a mask does not reach a row, even though dropout multiplies its weight."""
    q, k, v = operands()
    v[..., 5, :] = np.nan
    out = fw.attention(q, k, v, dropout=0.5, seed=2, mask=np.arange(139) != 5)
    assert np.isfinite(out).all()


@pytest.mark.parametrize(
    ("change", "argument", "error"),
    [
        ({"dropout": 1.0}, "dropout", fw.ShapeError),
        ({"dropout": -0.1}, "dropout", fw.ShapeError),
        ({"dropout": np.nan}, "dropout", fw.ShapeError),
        ({"dropout": "0.1"}, "dropout", fw.DTypeError),
        ({"dropout": 0.1, "seed": -1}, "seed", fw.ShapeError),
        ({"dropout": 0.1, "seed": 1 << 64}, "seed", fw.ShapeError),
        ({"dropout": 0.1, "seed": 1.5}, "seed", fw.DTypeError),
    ],
)
def test_wrong_options(change, argument, error):
    with pytest.raises(error, match=f"^{argument}"):
        fw.attention(*operands(), **change)
