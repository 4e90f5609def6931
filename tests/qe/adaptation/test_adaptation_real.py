"""Adaptation of real suites, NetworkX's and NumPy's, by the real model."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
from bench.adaptation import feedback as bench
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.suites.collection import collect

networkx = pytest.importorskip("networkx")
pytestmark = pytest.mark.slow

NETWORKX, NUMPY = (Path(package.__file__).parent for package in (networkx, np))


KINDS = ("random pairs of a class", "any two tests, judged by a coin", "the nearest ten, flipped")


@pytest.fixture(autouse=True)
def kept_embeddings(kept_folder, monkeypatch):
    """Keep the embeddings of each test for the other tests, and for the next run."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(kept_folder))


@cache
def labelled(folder, model):
    if not folder.is_dir():
        pytest.skip(f"no tests in {folder}")
    suite = collect(folder, cache=False)
    vectors = Embedder(model).embed([test.source for test in suite.tests])
    return bench.labels(vectors, [test.nodeid for test in suite.tests])


@pytest.mark.parametrize("kind", KINDS)
def test_files_without_feedback_never_get_worse(one_thread, real_model, kind):
    """Run a small version of `python -m bench adaptation --suite networkx`."""
    suite = labelled(NETWORKX / "algorithms" / "tests", real_model)
    found = bench.run_quality(suite, kind, 400, 2, runtime=one_thread)
    assert (np.subtract(found.after, found.before) >= 0).all()
    # The whitening alone already gains over the model's own vectors; adaptation must gain on top.
    assert (np.subtract(found.before, found.raw) > 0.01).all()
    if "coin" in kind or "flipped" in kind:
        assert not any(found.activated)


class Task:
    """Search tasks: find a test of the query's class among eight tests of other classes."""

    def __init__(self, folder, model, count=200):
        suite, rng = labelled(folder, model), np.random.default_rng(0)
        self.x = suite.raw
        self.samples = []
        for a in np.flatnonzero(suite.classes >= 0)[:count]:
            same = suite.classes == suite.classes[a]
            far = rng.choice(np.flatnonzero(~same), 8)
            same[a] = False
            self.samples.append((a, rng.choice(np.flatnonzero(same)), far))

    def learn(self, adapter, epochs):
        options = {"temperature": 0.1, "adapt_candidates": True}
        for epoch in range(epochs):
            for i in np.random.default_rng(epoch).permutation(len(self.samples)):
                a, b, far = self.samples[i]
                adapter.update_contrastive(self.x[a], self.x[b], self.x[far], **options)

    def loss(self, adapter):
        y = adapter.apply(self.x).astype(np.float64)
        y /= np.linalg.norm(y, axis=1, keepdims=True)
        scores = np.array([y[[b, *far]] @ y[a] / 0.1 for a, b, far in self.samples])
        return float((np.log(np.exp(scores).sum(axis=1)) - scores[:, 0]).mean())


def test_a_suite_is_not_forgotten_over_another(one_thread, real_model):
    """Learn NetworkX's suite, then NumPy's: consolidation halves the rise of the first loss."""
    first = Task(NETWORKX / "classes" / "tests", real_model)
    second = Task(NUMPY / "linalg" / "tests", real_model)
    rise = {}
    for ewc_lambda in (0.0, 100.0):
        options = {"rank": 8, "learning_rate": 1e-3, "ewc_lambda": ewc_lambda}
        adapter = fw.LoRAAdapter(384, 384, **options, runtime=one_thread)
        first.learn(adapter, epochs=10)
        learned = first.loss(adapter)
        if ewc_lambda:
            adapter.consolidate()
        unlearned = second.loss(adapter)
        second.learn(adapter, epochs=10)
        rise[ewc_lambda] = first.loss(adapter) - learned
        assert second.loss(adapter) < 0.5 * unlearned
        first.learn(adapter, epochs=5)
        assert first.loss(adapter) < learned + 0.1 * rise[0.0]
    assert rise[0.0] > learned
    assert rise[100.0] <= 0.5 * rise[0.0]
