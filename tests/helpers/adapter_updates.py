"""Updates of a low-rank adapter by each of its losses, and adapters that have learned from some."""

from typing import NamedTuple

import numpy as np

import flashwasm as fw
from sample_arrays import normal


class Loss(NamedTuple):
    """A loss of the adapter."""

    kind: str
    # Options by the oracle's names: metric, temperature, adapted, threshold.
    options: dict
    # For feedback: True if the candidate was accepted.
    accepted: bool = True

    @property
    def oracle_options(self):
        """Options of the oracle's `lora_loss`."""
        if self.kind == "regression":
            return {}
        return self.options | {"label": int(not self.accepted)}


def _losses():
    yield Loss("regression", {})
    for metric, temperature in (("cosine", 0.2), ("dot", 3.0)):
        for adapted in (False, True):
            options = {"metric": metric, "temperature": temperature, "adapted": adapted}
            yield Loss("contrastive", options)
            for accepted in (True, False):
                yield Loss("feedback", options | {"threshold": 0.1}, accepted)


LOSSES = list(_losses())


def loss_id(loss):
    """Return the name of a loss in the id of a test."""
    label = [loss.accepted] if loss.kind == "feedback" else []
    return "-".join(map(str, [loss.kind, *loss.options.values(), *label]))


def sample(loss, in_dim, out_dim, *, seed=0, negatives=4):
    """Return x, and the candidates with which a loss compares it."""
    columns = in_dim if loss.options.get("adapted") else out_dim
    count = 1 + negatives if loss.kind == "contrastive" else 1
    return normal(in_dim, seed=10 + seed), normal(count, columns, seed=20 + seed)


def learn(adapter, loss, x, candidates, **more):
    """Make one update with a loss and more options, and return the value of the loss."""
    if loss.kind == "regression":
        return adapter.update(x, candidates[0], **more)
    options = {name: loss.options[name] for name in ("metric", "temperature")} | more
    options["adapt_candidates"] = loss.options["adapted"]
    if loss.kind == "contrastive":
        return adapter.update_contrastive(x, candidates[0], candidates[1:], **options)
    options |= {"accepted": loss.accepted, "threshold": loss.options["threshold"]}
    return adapter.update_feedback(x, candidates[0], **options)


def unit(*shape, seed=0):
    """Return random vectors of unit length."""
    x = normal(*shape, seed=seed)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def trained(in_dim, out_dim, *, runtime=None, **options):
    """Return an adapter after three updates, so that B is not zero."""
    adapter = fw.LoRAAdapter(in_dim, out_dim, runtime=runtime, **{"seed": 3} | options)
    for i in range(3):
        adapter.update(unit(in_dim, seed=i), unit(out_dim, seed=50 + i))
    return adapter


def trained_by_all_losses(runtime, **options):
    """Return an adapter of 9 dimensions after 39 updates and, if possible, a consolidation."""
    plain = {"rank": 3, "learning_rate": 0.01, "ewc_lambda": 2.0, "ewc_samples": 4}
    adapter = fw.LoRAAdapter(9, 9, seed=4, runtime=runtime, **plain | options)
    for i in range(3):
        for loss in LOSSES:
            x, candidates = sample(loss, 9, 9, seed=i, negatives=2 + 5 * i)
            learn(adapter, loss, x, candidates)
        if i == 1 and adapter.ewc_lambda:
            adapter.consolidate()
    return adapter
