"""The updates of `LoRAAdapter`: their losses, gradients and steps, and their effect."""

import numpy as np
import pytest

import flashwasm as fw
from adapter_updates import (
    LOSSES,
    Loss,
    learn,
    loss_id,
    sample,
    trained,
    trained_by_all_losses,
    unit,
)
from call_paths import runtime_calling
from flashwasm.oracles import reference
from sample_arrays import assert_same_bits, normal


@pytest.mark.parametrize(("in_dim", "out_dim"), [(13, 13), (10, 7), (6, 9)])
@pytest.mark.parametrize("loss", LOSSES, ids=loss_id)
def test_gradients_are_those_of_the_loss(runtime, loss, in_dim, out_dim):
    """A step of plain gradient descent shows the gradient.

    It is so long that rounding the weights to float32 hardly changes it.
    """
    rate, scale = 2.0**12, 1.5
    x, candidates = sample(loss, in_dim, out_dim)
    setting = {"rank": 3, "alpha": 3 * scale, "optimizer": "sgd", "runtime": runtime}
    adapter = trained(in_dim, out_dim, learning_rate=0.5, **setting)
    adapter.learning_rate = rate
    a, b = adapter.a, adapter.b
    value = learn(adapter, loss, x, candidates, reward=0.75)

    def formula(a, b):
        options = loss.oracle_options | {"reward": 0.75}
        return reference.lora_loss(loss.kind, a, b, scale, x, candidates, **options)

    assert value == pytest.approx(formula(a, b), rel=2e-5, abs=1e-6)
    expected = reference.gradient(formula, a, b)
    for before, after, g in zip((a, b), (adapter.a, adapter.b), expected, strict=True):
        actual = (before.astype(np.float64) - after) / rate
        assert np.isfinite(actual).all()
        assert (np.abs(actual - g) <= 1e-4 * np.abs(g) + 2e-6 * np.abs(g).max()).all()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_adam(runtime, decay):
    """Ten steps are compared with those of Adam as it was published, in float64."""
    adapter = fw.LoRAAdapter(
        10, 10, rank=2, learning_rate=0.02, weight_decay=decay, seed=5, runtime=runtime
    )
    weights = [adapter.a.astype(np.float64), adapter.b.astype(np.float64)]
    first, second = ([np.zeros_like(w) for w in weights] for _ in "12")
    for t in range(1, 11):
        x, target = unit(10, seed=t), unit(10, seed=30 + t)
        slopes = reference.gradient(
            lambda a, b, x=x, target=target: reference.lora_loss(
                "regression", a, b, 1.0, x, [target]
            ),
            *weights,
        )
        for w, m, v, g in zip(weights, first, second, slopes, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g * g
            step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            w[:] = w - 0.02 * decay * w - 0.02 * step
        adapter.update(x, target)
    # The bound is wide, because Adam divides by the gradient's size: where a gradient is near zero,
    # its rounding error decides the step.
    assert np.abs(adapter.a - weights[0]).max() < 1e-4
    assert np.abs(adapter.b - weights[1]).max() < 1e-4


@pytest.mark.parametrize(("optimizer", "rates"), [("sgd", [0.02]), ("adam", [1e-2, 1e-3, 1e-4])])
def test_a_map_of_the_same_rank_is_learned(one_thread, optimizer, rates):
    dim, rank = 32, 4
    a, b = normal(rank, dim) / np.sqrt(dim), normal(dim, rank, seed=1) / np.sqrt(rank)
    adapter = fw.LoRAAdapter(dim, dim, rank=rank, optimizer=optimizer, runtime=one_thread)
    for rate in rates:
        adapter.learning_rate = rate
        x = normal(6000, dim, seed=2)
        for one, target in zip(x, reference.lora_apply(x, a, b, 1.0), strict=True):
            adapter.update(one, target)
    error = adapter.b.astype(np.float64) @ adapter.a - b @ a
    assert np.linalg.norm(error) < 0.01 * np.linalg.norm(b @ a)


def test_a_learning_rate_may_change(one_thread):
    """It changes the weight decay too, which it is a factor of."""
    options = {"optimizer": "sgd", "weight_decay": 0.3, "seed": 3, "runtime": one_thread}
    changed = fw.LoRAAdapter(6, 6, learning_rate=0.5, **options)
    changed.learning_rate = 0.1
    fixed = fw.LoRAAdapter(6, 6, learning_rate=0.1, **options)
    for adapter in (changed, fixed):
        adapter.update(normal(6), normal(6, seed=1))
    assert_same_bits(changed.a, fixed.a)
    with pytest.raises(fw.ShapeError, match="learning_rate"):
        changed.learning_rate = 0


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.3}, {"metric": "dot"}, {"adapt_candidates": True}, {"reward": 2.0}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["contrastive", "feedback"])
def test_every_option_of_an_update_has_an_effect(one_thread, kind, options):
    def run(**options):
        adapter = trained(9, 9, optimizer="sgd", learning_rate=0.1, runtime=one_thread)
        near, far = normal(9, seed=1), normal(4, 9, seed=2)
        if kind == "contrastive":
            loss = adapter.update_contrastive(normal(9), near, far, **options)
        else:
            loss = adapter.update_feedback(normal(9), near, accepted=False, **options)
        return loss, adapter.apply(normal(9))

    (plain, y), (changed, z) = run(), run(**options)
    assert plain != changed
    assert np.abs(y - z).max() > 1e-6


def test_float64_lists_and_half_floats_are_taken(one_thread):
    x, target = normal(6).astype(np.float16), normal(6, seed=1).astype(np.float16)
    results = []
    for convert in (
        lambda v: v,
        lambda v: v.astype(np.float64),
        lambda v: v.astype(float).tolist(),
    ):
        adapter = trained(6, 6, runtime=one_thread)
        adapter.update(convert(x), convert(target))
        adapter.update_contrastive(convert(x), convert(target), [convert(x)])
        accepted = np.bool_(1)
        adapter.update_feedback(convert(x), convert(target), accepted, np.float32(1))
        results.append(adapter.apply(x))
        assert_same_bits(results[0], results[-1])


@pytest.mark.parametrize("wrong", [np.nan, -np.inf, 1e30])
@pytest.mark.parametrize("kind", ["regression", "contrastive", "feedback"])
def test_a_sample_that_is_not_finite_changes_nothing(runtime, kind, wrong):
    """It changes neither the weights nor the samples that a consolidation uses."""
    options = {"temperature": 1.0, "metric": "dot", "adapted": False, "threshold": 0.1}
    loss = Loss(kind, options)
    one, other = (trained(6, 6, ewc_lambda=1.0, runtime=runtime) for _ in range(2))
    x, candidates = sample(loss, 6, 6)
    x[2] = candidates[0, 3] = wrong
    with pytest.raises(fw.ShapeError, match="finite"):
        learn(one, loss, x, candidates)
    for adapter in (one, other):
        adapter.update(normal(6), normal(6, seed=1))
        adapter.consolidate()
        adapter.update(normal(6), normal(6, seed=1))
    assert_same_bits(one.apply(normal(3, 6)), other.apply(normal(3, 6)))


def test_vectors_of_zeros_have_no_gradient(runtime):
    adapter = trained(6, 6, runtime=runtime, optimizer="sgd")
    before = adapter.apply(normal(4, 6))
    loss = adapter.update_contrastive(np.zeros(6), normal(6), normal(3, 6), temperature=1.0)
    assert loss == pytest.approx(np.log(4))
    assert_same_bits(adapter.apply(normal(4, 6)), before)


def test_a_short_candidate_after_a_longer_one(runtime):
    """The rest of the longer one is cleared from the memory of the sample."""
    one, other = (trained(11, 6, optimizer="sgd", runtime=runtime) for _ in range(2))
    x = normal(11)
    one.update_contrastive(x, 100 * normal(11), normal(3, 11), adapt_candidates=True, reward=0.0)
    losses = [a.update_contrastive(x, normal(6), normal(3, 6), reward=0.5) for a in (one, other)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("variant", ["relaxed", "simd128", "scalar"])
def test_slow_calls_give_the_same_bits(variant):
    """Kernels are called by wasmtime's unchecked call or, if it is absent, by its public one."""
    results = []
    for fast in (True, False):
        with runtime_calling(fast=fast, variant=variant) as rt:
            adapter = trained_by_all_losses(rt)
            results.append((adapter.a, adapter.b, adapter.apply(normal(40, 9))))
    for x, y in zip(*results, strict=True):
        assert_same_bits(x, y)
