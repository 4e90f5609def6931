"""The workload "code-embedding": self-attention over tokens, pooled into one unit vector."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import qe

rng = np.random.default_rng(0)
# Rounding of a float32 sum of at most 300 products of standard normal numbers in another order.
TOLERANCE = 1e-5


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dim", [7, 64, 96])
def test_code_embeddings_equal_the_oracle(make, pooling, masked, dim):
    tokens, positions = normal(20, dim), normal(20, dim)
    mask = np.arange(20) % 3 != 1 if masked else None
    attention = make("code-embedding")
    result = attention.generate_code_embedding(tokens, positions, mask, pooling)
    x = (tokens + positions).astype(np.float64)
    taken = slice(None) if mask is None else mask
    width = max(d for d in range(1, 65) if dim % d == 0)
    heads = x.reshape(20, -1, width).swapaxes(0, 1)
    scores = heads @ heads.swapaxes(1, 2) / np.sqrt(width)
    weights = np.exp(scores - scores.max(-1, keepdims=True)) * (1 if mask is None else mask)
    states = weights / weights.sum(-1, keepdims=True) @ heads
    states = states.swapaxes(0, 1).reshape(20, dim)[taken]
    logits = states @ states.mean(0) / np.sqrt(dim)
    share = np.exp(logits - logits.max())
    pooled = {
        "mean": states.mean(0),
        "cls": states[0],
        "attention": share @ states / share.sum(),
    }[pooling]
    assert np.allclose(result, pooled / np.linalg.norm(pooled), rtol=0, atol=TOLERANCE)
    assert result.dtype == np.float32


@pytest.mark.parametrize("length", [1, 31, 32, 33, 70])
@pytest.mark.parametrize("heads_at_once", [1, 2, 8])
def test_the_mean_in_blocks_is_the_mean_of_the_states(make, monkeypatch, length, heads_at_once):
    """Compute the mean in blocks whose sizes do and do not divide the length."""
    tokens, zero = normal(length, 192), np.zeros(192, np.float32)
    attention = make("code-embedding")
    blocks = {"heads_per_block": heads_at_once, "query_chunk_size": 32, "kv_chunk_size": 32}
    attention.update_config({"blocks": blocks})
    mean = attention.generate_code_embedding(tokens, zero)
    heads = tokens.reshape(length, 3, 64).swapaxes(0, 1)
    states = attention.compute_flash_attention(heads, heads, heads).mean(axis=1).reshape(-1)
    assert np.allclose(mean, states / np.linalg.norm(states), rtol=0, atol=TOLERANCE)
    monkeypatch.setattr("flashwasm.qe.workloads.code_embedding._STORED_SCORES", 5 * length)
    small = attention.generate_code_embedding(tokens, zero + np.float32(1e-30))
    assert np.allclose(mean, small, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("causal", [False, True])
def test_masked_tokens_change_nothing(make, pooling, causal):
    attention = make("code-embedding")
    attention.update_config({"use_causal_mask": causal})
    tokens, positions, mask = normal(50, 64), normal(50, 64), rng.random(50) > 0.5
    masked = attention.generate_code_embedding(tokens, positions, mask, pooling)
    alone = attention.generate_code_embedding(tokens[mask], positions[mask], None, pooling)
    assert np.array_equal(masked, alone)
    tokens[~mask] = np.nan
    again = attention.generate_code_embedding(tokens, positions, mask, pooling)
    assert np.array_equal(again, masked)


def test_code_embedding_with_one_position_for_all(make):
    attention, tokens, position = make(), normal(6, 8), normal(8)
    one = attention.generate_code_embedding(tokens, position)
    assert np.array_equal(one, attention.generate_code_embedding(tokens, np.tile(position, (6, 1))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((normal(6, 8), normal(7)), "position_embeddings: expected"),
        ((normal(6), normal(6)), "code_tokens: expected 2 axes"),
        ((normal(6, 8), normal(8), np.ones(5, bool)), "mask: expected shape"),
        ((normal(6, 8), normal(8), np.ones(6)), "mask: expected booleans"),
        ((normal(6, 8), normal(8), np.zeros(6, bool)), "at least one token"),
        ((normal(6, 8), normal(8), None, "max"), "pooling: expected one of"),
        ((np.zeros((6, 8)), np.zeros(8)), "no unit vector"),
        ((np.full((6, 8), np.nan), np.zeros(8)), "no unit vector"),
    ],
)
def test_code_embeddings_that_are_refused(make, arguments, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        make().generate_code_embedding(*arguments)


def test_embeddings_are_cached_up_to_a_bound(make, monkeypatch):
    table = {
        "coverage-analysis": qe.SonaConfig(enabled=False, rank=2, target_ms=1, cached_patterns=2)
    }
    monkeypatch.setattr("flashwasm.qe.workloads.qe_flash_attention.QE_SONA_CONFIG", table)
    attention = make("coverage-analysis")
    tokens = [normal(4, 8) for _ in range(3)]

    def embed(i, pooling="mean"):
        return attention.generate_code_embedding(tokens[i], np.zeros(8, np.float32), None, pooling)

    first = embed(0)
    first[:] = 0  # The caller may change its copy.
    assert np.linalg.norm(embed(0)) == pytest.approx(1)
    assert attention.get_metrics().cache_hit_rate == 1 / 2
    embed(0, "cls")
    embed(1)
    attention.reset_metrics()
    embed(0)  # The oldest of three was dropped.
    assert attention.get_metrics().cache_hit_rate == 0
