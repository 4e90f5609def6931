"""Attention over parts of the keys: right for every option, with the same bits on all executors."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import distributed
from flashwasm.oracles import reference
from lost_workers import LosesOneWorker

RNG = np.random.default_rng(7)
Q = RNG.standard_normal((2, 4, 9, 8), np.float32)
K, V = RNG.standard_normal((2, 2, 2, 101, 8), np.float32)
OPTIONS = {
    "plain": {},
    "scale and softcap": {"scale": 0.3, "softcap": 2.0},
    "bottom right": {"causal": "bottom_right"},
    "top left": {"causal": "top_left"},
    "offsets": {"causal": np.array([3, 60]), "window": (20, 5)},
    "lengths": {"kv_lengths": np.array([0, 40]), "causal": "bottom_right", "window": (20, 0)},
    "alibi and sinks": {
        "causal": 92,
        "alibi_slopes": [0.1, 0.2, 0.3, 0.4],
        "sinks": [0.0, 1, 2, 3],
    },
    "boolean mask": {"mask": RNG.random((2, 1, 9, 101)) < 0.3},
    "added mask": {"mask": RNG.standard_normal((9, 1)).astype(np.float32)},
}


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_gives_what_one_call_gives(threads, options):
    out, lse = distributed.attention(threads, Q, K, V, part_keys=16, return_lse=True, **options)
    whole, whole_lse = fw.attention(Q, K, V, return_lse=True, **options)
    assert np.isfinite(out).all()
    # A part rounds like a call of its own, and so does each of the three levels of merging.
    assert np.abs(out - whole).max() <= 2e-6
    assert np.array_equal(np.isneginf(lse), np.isneginf(whole_lse))
    seen = np.isfinite(lse)
    assert np.abs(lse[seen] - whole_lse[seen]).max(initial=0) <= 2e-6


def test_two_axes_and_a_single_part(threads):
    out = distributed.attention(threads, Q[0, 0], K[0, 0], V[0, 0])
    assert out.tobytes() == fw.attention(Q[0, 0], K[0, 0], V[0, 0]).tobytes()
    exact, _ = reference.attention(Q[0, 0][None], K[0, 0][None], V[0, 0][None])
    assert np.abs(out - exact[0]).max() < 1e-6


def test_the_bits_are_the_same_whatever_the_workers(tmp_path, local_workers, threads):
    np.save(tmp_path / "k.npy", K)
    np.save(tmp_path / "v.npy", V)
    files = tmp_path / "k.npy", str(tmp_path / "v.npy")
    expected = distributed.attention(threads, Q, K, V, part_keys=16).tobytes()
    assert distributed.attention(local_workers, Q, *files, part_keys=16).tobytes() == expected


def test_a_lost_worker_s_part_is_computed_again_with_the_same_bits(
    tmp_path, threads, local_workers
):
    expected = distributed.attention(threads, Q, K, V, part_keys=10).tobytes()
    losing = LosesOneWorker(local_workers, tmp_path / "killed")
    assert distributed.attention(losing, Q, K, V, part_keys=10).tobytes() == expected
    assert (tmp_path / "killed").exists()
    # The workers go on.
    assert distributed.attention(local_workers, Q, K, V, part_keys=10).tobytes() == expected


def test_a_plain_pool_has_the_same_bits_and_says_if_it_lost_its_worker(tmp_path, threads):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        expected = distributed.attention(threads, Q, K, V, part_keys=16).tobytes()
        assert distributed.attention(pool, Q, K, V, part_keys=16).tobytes() == expected
        pool.threads = 1
        losing = LosesOneWorker(pool, tmp_path / "killed", at=0)
        with pytest.raises(fw.CapabilityError, match="LocalWorkers replaces such a process"):
            distributed.attention(losing, Q, K, V, part_keys=10)


def test_what_cannot_be_cut_into_parts_is_refused(threads):
    with pytest.raises(fw.CapabilityError, match="dropout: not supported"):
        distributed.attention(threads, Q, K, V, dropout=0.1, seed=1)
    for option in ({"window": (3, 3)}, {"alibi_slopes": [1.0] * 4}):
        with pytest.raises(fw.CapabilityError, match=f"{next(iter(option))}: .* requires causal"):
            distributed.attention(threads, Q, K, V, **option)
    with pytest.raises(TypeError, match="unexpected"):
        distributed.attention(threads, Q, K, V, odd=1)
