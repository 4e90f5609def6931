"""Elastic weight consolidation by `LoRAAdapter.consolidate`: it preserves earlier learning."""

import numpy as np
import pytest

import flashwasm as fw
from adapter_updates import LOSSES, Loss, learn, loss_id, sample, trained
from flashwasm.oracles import reference
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from sample_arrays import assert_same_bits, normal


@pytest.mark.parametrize("loss", LOSSES, ids=loss_id)
def test_the_penalty_is_the_formula(runtime, tmp_path, loss):
    """Fisher information and anchor are right, and so is the gradient of the penalty."""
    setting = {"rank": 3, "optimizer": "sgd", "ewc_lambda": 50.0, "ewc_samples": 8}
    adapter = fw.LoRAAdapter(9, 9, learning_rate=0.01, runtime=runtime, **setting)
    taken = []
    for i in range(5):
        x, candidates = sample(loss, 9, 9, seed=i, negatives=1 + i * 3)
        learn(adapter, loss, x, candidates, reward=0.5 + i)
        taken.append((x, candidates))
    adapter.consolidate()
    a, b = adapter.a, adapter.b
    adapter.save(tmp_path / "adapter")
    container = read_container(tmp_path / "adapter", "lora-adapter")
    assert_same_bits(container.sections["anchor"], container.sections["weights"])
    expected = [np.zeros_like(a), np.zeros_like(b)]
    for i, (x, candidates) in enumerate(taken):
        one = reference.lora_fisher(
            loss.kind, a, b, 1.0, x, candidates, reward=0.5 + i, **loss.options
        )
        expected = [sum_ + part / len(taken) for sum_, part in zip(expected, one, strict=True)]
    # Rows of A, then of B transposed, of twelve numbers each.
    rows = container.sections["fisher"].reshape(2, 3, 12)
    for actual, fisher in zip((rows[0, :, :9], rows[1, :, :9].T), expected, strict=True):
        assert np.abs(actual - fisher).max() < 1e-4 * fisher.max()
    # Move B away from the anchor. With a reward of 0, a step follows the penalty's gradient only.
    container.sections["weights"].reshape(2, 3, 12)[1, :, :9] += normal(3, 9) * np.float32(0.1)
    write_container(tmp_path / "adapter", container)
    moved = fw.LoRAAdapter.load(tmp_path / "adapter", runtime=runtime)
    away = moved.b.astype(np.float64) - b
    learn(moved, loss, *taken[0], reward=0.0)
    step = (away + b - moved.b) / 0.01
    force = 50.0 * expected[1] * away
    assert np.abs(step - force).max() < 1e-3 * np.abs(force).max()


class Task:
    """Vectors and their targets by a map of rank 2, to be learned by a loss of one kind.

    The vectors lie in eight directions; three of them are the same for all tasks.
    """

    def __init__(self, kind, number, dim=24, count=24):
        shared, own = normal(3, dim, seed=9), normal(5, dim, seed=number)
        basis = np.linalg.qr(np.concatenate([shared, own]).T)[0].T
        self.kind = kind
        self.x = normal(count, 8, seed=20 + number) @ basis
        a, b = normal(2, dim, seed=30 + number), normal(dim, 2, seed=40 + number) / dim
        self.y = reference.lora_apply(self.x, a, b, 1.0).astype(np.float32)

    def sample(self, i):
        """Return the candidates for a vector, and the loss to learn by."""
        options = {"temperature": 0.2, "metric": "cosine", "adapted": False}
        if self.kind == "regression":
            return self.y[[i]], Loss("regression", {})
        if self.kind == "contrastive":
            others = np.delete(self.y, i, axis=0)[:8]
            return np.concatenate([self.y[[i]], others]), Loss("contrastive", options)
        j = i if i % 2 else (i + 1) % len(self.x)
        return self.y[[j]], Loss("feedback", options | {"threshold": 0.5}, accepted=i == j)

    def learn(self, adapter, epochs=60):
        """Update an adapter by all samples, in another order in each epoch."""
        for epoch in range(epochs):
            for i in np.random.default_rng(epoch).permutation(len(self.x)):
                candidates, loss = self.sample(i)
                learn(adapter, loss, self.x[i], candidates)

    def loss(self, adapter):
        """Return the oracle's mean loss over all samples."""
        total = 0.0
        for i, x in enumerate(self.x):
            candidates, loss = self.sample(i)
            a, b, options = adapter.a, adapter.b, loss.oracle_options
            total += reference.lora_loss(loss.kind, a, b, 1.0, x, candidates, **options)
        return total / len(self.x)


@pytest.mark.parametrize("kind", ["regression", "contrastive", "feedback"])
def test_a_consolidated_task_is_kept_while_another_is_learned(one_thread, kind):
    """With consolidation the first task's loss rises at most half as much as without."""
    first, second = Task(kind, 1), Task(kind, 2)
    rise = {}
    for ewc_lambda in (0.0, 10.0):
        options = {"learning_rate": 0.01, "ewc_lambda": ewc_lambda}
        adapter = fw.LoRAAdapter(24, 24, runtime=one_thread, **options)
        before = first.loss(adapter)
        first.learn(adapter)
        learned = first.loss(adapter)
        assert learned < 0.75 * before
        if ewc_lambda:
            adapter.consolidate()
        unlearned = second.loss(adapter)
        second.learn(adapter)
        rise[ewc_lambda] = first.loss(adapter) - learned
        assert second.loss(adapter) < 0.9 * unlearned
        # The first task is soon learned again.
        first.learn(adapter, epochs=30)
        assert first.loss(adapter) < learned + 0.5 * max(rise[0.0], 0.0)
    assert rise[0.0] > 0.1 * learned
    assert rise[10.0] <= 0.5 * rise[0.0]


def test_consolidations_add_up(one_thread, tmp_path):
    adapter = trained(8, 8, ewc_lambda=1.0, runtime=one_thread)
    for name in "ab":
        adapter.consolidate()
        # Nothing was learned since, so this changes nothing.
        adapter.consolidate()
        adapter.save(tmp_path / name)
        adapter.update(normal(8), normal(8, seed=1))
    adapter.consolidate()
    adapter.save(tmp_path / "c")
    one, two, three = (
        read_container(tmp_path / name, "lora-adapter").sections["fisher"] for name in "abc"
    )
    assert (two >= one).all()
    assert (three >= two).all()
    assert three.sum() > two.sum() > one.sum()


def test_a_penalty_beyond_float32_is_refused(one_thread):
    adapter = fw.LoRAAdapter(6, 6, ewc_lambda=1e15, runtime=one_thread)
    adapter.update(1e4 * normal(6), normal(6))
    with pytest.raises(fw.ShapeError, match="ewc_lambda: expected a penalty of moderate size"):
        adapter.consolidate()
    # The adapter learns as if it had not been called.
    assert adapter.update(normal(6), normal(6)) > 0
    assert np.isfinite(adapter.b).all()


def test_samples_are_drawn_fairly(one_thread, tmp_path):
    """Each of 400 samples has the same chance to be among the 20 kept; x holds its number."""
    counts = np.zeros(400)
    for seed in range(60):
        adapter = fw.LoRAAdapter(
            2, 2, seed=seed, ewc_lambda=1.0, ewc_samples=20, learning_rate=1e-9, runtime=one_thread
        )
        for i in range(400):
            adapter.update([i, 1.0], [i, 1.0])
        adapter.save(tmp_path / "adapter")
        words = read_container(tmp_path / "adapter", "lora-adapter").sections["samples"]
        kept = words[:, 16].view(np.float32).astype(int)
        assert len(set(kept)) == 20
        counts[kept] += 1
    for quarter in counts.reshape(4, 100).sum(axis=1):
        # The expected number is 300, with a standard deviation of 15.
        assert 240 < quarter < 360
