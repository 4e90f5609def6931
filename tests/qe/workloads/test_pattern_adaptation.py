"""The workload "pattern-adaptation": steps of training, and the cache of adapted patterns."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import qe


def vector(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_a_pattern_is_adapted_step_by_step(make):
    attention = make("pattern-adaptation")
    pattern, target = vector(384), vector(384, seed=1)
    first = attention.adapt_pattern(pattern, target)
    assert (first.adapted, first.cached) == (True, False)
    assert first.loss == pytest.approx(((pattern - target) ** 2).sum() / 2, rel=1e-4)
    losses = [attention.adapt_pattern(pattern, target).loss for _ in range(50)]
    assert losses[-1] < 0.9 * first.loss
    far = vector(4, 384, seed=2)
    assert attention.adapt_pattern(pattern, target, negatives=far, reward=0.5).adapted
    with pytest.raises(fw.ShapeError, match="negatives: expected a target"):
        attention.adapt_pattern(pattern, negatives=far)
    with pytest.raises(fw.ShapeError, match="pattern: expected 384 numbers"):
        attention.adapt_pattern(vector(8))
    with pytest.raises(fw.ShapeError, match="target: expected shape"):
        attention.adapt_pattern(pattern, vector(8))
    with pytest.raises(fw.ShapeError, match="reward"):
        attention.adapt_pattern(pattern, target, reward=-1.0)


def test_a_pattern_without_a_step_may_come_from_the_cache(make):
    attention = make("test-similarity")
    pattern = vector(16)
    attention.adapt_pattern(pattern, vector(16, seed=1))
    assert (
        attention.get_metrics().cache_hit_rate is None
    )  # A training step does not look into the cache.
    known = attention.adapt_pattern(pattern)
    assert (known.adapted, known.cached, known.loss) == (False, True, None)
    other = attention.adapt_pattern(vector(16, seed=2))
    assert (other.adapted, other.cached) == (False, False)
    assert attention.get_metrics().cache_hit_rate == 1 / 2
    known.pattern[:] = 0  # The caller may change its copy.
    np.testing.assert_array_equal(
        attention.adapt_pattern(vector(16, seed=2)).pattern, other.pattern
    )
    # Another step makes the cached patterns out of date.
    moved = attention.adapt_pattern(pattern, vector(16, seed=3))
    assert not attention.adapt_pattern(vector(16, seed=2)).cached
    again = attention.adapt_pattern(pattern)
    assert again.cached
    np.testing.assert_array_equal(again.pattern, moved.pattern)


SONA = {"enabled": True, "rank": 3, "target_ms": 1e6, "cached_patterns": 2}


OTHER = {"rank": 5, "target_ms": 0.0, "cached_patterns": 1}
TABLE = "flashwasm.qe.workloads.qe_flash_attention.QE_SONA_CONFIG"


def test_adaptation_that_is_not_enabled_raises(make, monkeypatch):
    row = qe.SonaConfig(**SONA | {"enabled": False})
    monkeypatch.setattr(TABLE, {"code-embedding": row})
    with pytest.raises(fw.CapabilityError, match="adaptation is not enabled for code"):
        make("code-embedding").adapt_pattern(vector(8), vector(8))


@pytest.mark.parametrize("field", [f for f in qe.SonaConfig._fields if f != "enabled"])
def test_every_setting_of_adaptation_has_an_effect(make, monkeypatch, field):
    """Change one field: exactly the measurement that depends on it changes."""
    seen = []
    for settings in (SONA, SONA | {field: OTHER[field]}):
        monkeypatch.setattr(TABLE, {"code-embedding": qe.SonaConfig(**settings)})
        attention = make("code-embedding")
        memory = attention.get_metrics().memory_mb
        done = attention.adapt_pattern(vector(512), vector(512, seed=1))
        memory = attention.get_metrics().memory_mb - memory
        for seed in (5, 6):
            attention.adapt_pattern(vector(512, seed=seed))
        found = {
            "rank": memory,
            "target_ms": done.within_target,
            "cached_patterns": attention.adapt_pattern(vector(512, seed=5)).cached,
        }
        seen.append(found)
    changed = [name for name in seen[0] if seen[0][name] != seen[1][name]]
    assert changed == [field]
