"""Bad input of the low-rank adapter and of whitening."""

import tempfile
from pathlib import Path

import numpy as np
from array_rows import float_array, out_array, virtual
from option_rows import (
    BEYOND_FLOATS,
    count,
    flag,
    number,
    path_option,
    runtime_option,
    timeout_option,
    word,
)
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from sample_arrays import normal

X = normal(4)
ROWS = normal(3, 4, seed=1)
CORPUS = normal(9, 4)


def adapter(rt, **given):
    """Return an adapter that has learned something."""
    made = fw.LoRAAdapter(4, 4, rank=2, ewc_lambda=1.0, runtime=rt, **given)
    made.update(X, ROWS[0])
    return made


def made(rt, **given):
    """Return the weights of a new adapter."""
    new = fw.LoRAAdapter(**{"runtime": rt, **given})
    return new.a, new.b, new.rank, new.alpha


def learned(step):
    """Return a call of a method that learns, which returns the loss and the weights after it."""

    def run(rt, **given):
        learning = adapter(rt)
        loss = getattr(learning, step)(**given)
        return loss, learning.a, learning.b

    return run


def saved_adapter(rt, path):
    """Return the weights of an adapter that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / path if isinstance(path, str) else path
        adapter(rt).save(at)
        return fw.LoRAAdapter.load(at, runtime=rt).b


def loaded_adapter(rt, path, **given):
    """Return the weights of an adapter that was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        adapter(rt).save(Path(folder) / "saved")
        at = Path(folder) / path if isinstance(path, str) else path
        return fw.LoRAAdapter.load(at, **{"runtime": rt, **given}).b


def consolidated(rt, timeout=None):
    """Return the next loss after a consolidation."""
    learning = adapter(rt)
    learning.consolidate(timeout=timeout)
    return learning.update(X, ROWS[1]), learning.b


def whitening(rt):
    """Return a whitening."""
    return fw.Whitening.fit(CORPUS, runtime=rt)


def fitted(rt, vectors, **given):
    """Return the map that was learned."""
    white = fw.Whitening.fit(vectors, **{"runtime": rt, **given})
    return white.mean, white.matrix, white.shrinkage, white.power


def saved_whitening(rt, path):
    """Return the map after it was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / path if isinstance(path, str) else path
        whitening(rt).save(at)
        return fw.Whitening.load(at).matrix


def loaded_whitening(rt, path):
    """Return the map that was loaded."""
    with tempfile.TemporaryDirectory() as folder:
        whitening(rt).save(Path(folder) / "saved")
        return fw.Whitening.load(Path(folder) / path if isinstance(path, str) else path).matrix


def vector(name, x):
    """Return the rows of an argument that is one vector of 4 numbers."""
    return [
        *float_array(name, x, least_axes=1, most_axes=1),
        row(f"{name} of 5 numbers", name, normal(5), fw.ShapeError),
        row(f"{name} of none", name, normal(0), fw.ShapeError),
        row(f"{name} without end", name, virtual(2**60), fw.ShapeError),
        unnamed(f"{name} with NaN", name, np.full_like(x, np.nan), fw.ShapeError),
    ]


REWARD = number("reward", 1.0, least=0.0)
SCORES = [
    *number("temperature", 0.05),
    row("temperature of 0", "temperature", 0, fw.ShapeError),
    *word("metric", "cosine"),
    *flag("adapt_candidates"),
    *REWARD,
]

SUBJECTS = [
    Subject(
        "LoRAAdapter",
        {"in_dim": 4, "out_dim": 4, "rank": 2},
        [
            *count("in_dim", 4),
            *count("out_dim", 4),
            *count("rank", 2),
            *number("alpha", 2.0, optional=True, least=0.0),
            *number("learning_rate", 1e-3, least=0.0),
            *word("optimizer", "adam"),
            *number("weight_decay", 0.0, least=0.0),
            *number("ewc_lambda", 0.0, least=0.0),
            *count("ewc_samples", 9, big=fw.ShapeError),
            *(row(f"seed of {n:.3g}", "seed", n, fw.ShapeError) for n in (-1, 2**64, 10**30)),
            row("seed beyond any float", "seed", BEYOND_FLOATS, fw.ShapeError),
            *(row(f"seed of {n!r}", "seed", n, fw.DTypeError) for n in (1.0, "1", None, True)),
            *runtime_option(),
            Row(
                "more samples than fit",
                "ewc_samples",
                lambda: {"ewc_samples": 2**31 - 1, "ewc_lambda": 1.0},
            ),
        ],
        made,
    ),
    Subject(
        "LoRAAdapter.apply",
        {"x": ROWS},
        [
            *float_array("x", ROWS, least_axes=1),
            *out_array(ROWS.shape),
            *timeout_option(),
            row("x of 5 columns", "x", normal(3, 5), fw.ShapeError),
            row("x of no rows", "x", normal(0, 4), gives=normal(0, 4)),
            unnamed("endless x", "x", virtual(2**50, 4), fw.OutOfMemoryError),
        ],
        lambda rt, **given: adapter(rt).apply(**given),
    ),
    Subject("LoRAAdapter.consolidate", {}, timeout_option(), consolidated),
    Subject(
        "LoRAAdapter.update",
        {"x": X, "target": ROWS[0]},
        [*vector("x", X), *vector("target", ROWS[0]), *REWARD],
        learned("update"),
    ),
    Subject(
        "LoRAAdapter.update_contrastive",
        {"x": X, "positive": ROWS[0], "negatives": ROWS[1:]},
        [
            *vector("x", X),
            *vector("positive", ROWS[0]),
            *float_array("negatives", ROWS[1:], least_axes=2, most_axes=2),
            row("negatives of none", "negatives", normal(0, 4), fw.ShapeError),
            row("negatives of 2**31", "negatives", virtual(2**31, 4), fw.ShapeError),
            *SCORES,
        ],
        learned("update_contrastive"),
    ),
    Subject(
        "LoRAAdapter.update_feedback",
        {"x": X, "candidate": ROWS[0], "accepted": True},
        [
            *vector("x", X),
            *vector("candidate", ROWS[0]),
            *flag("accepted", good=True),
            *number("threshold", 0.0),
            *SCORES,
        ],
        learned("update_feedback"),
    ),
    Subject("LoRAAdapter.save", {"path": "saved"}, path_option("path", read=False), saved_adapter),
    Subject(
        "LoRAAdapter.load",
        {"path": "saved"},
        [*path_option("path"), *runtime_option()],
        loaded_adapter,
    ),
    Subject(
        "Whitening",
        {"mean": normal(2), "matrix": np.eye(2, dtype=np.float32), "shrinkage": 0.1, "power": 1.0},
        [
            row("mean of two axes", "mean", normal(1, 2), fw.ShapeError),
            row("mean of integers", "mean", np.ones(2, int), fw.DTypeError),
            row("matrix of another size", "matrix", normal(3, 3), fw.ShapeError),
            row("matrix of text", "matrix", "odd", fw.DTypeError),
            *number("shrinkage", 0.1, least=0.0),
            *number("power", 1.0, least=0.0),
        ],
        lambda rt, **given: fw.Whitening(**given).apply(normal(3, 2), runtime=rt),
    ),
    Subject(
        "Whitening.fit",
        {"vectors": CORPUS},
        [
            *float_array("vectors", CORPUS, least_axes=2, most_axes=2),
            *number("shrinkage", 0.1, least=0.0),
            row("shrinkage above 1", "shrinkage", 1.1, fw.ShapeError),
            *number("power", 1.0, least=0.0),
            row("power above 1", "power", 2, fw.ShapeError),
            *runtime_option(),
            *timeout_option(),
            row("vectors of one row", "vectors", CORPUS[:1], fw.ShapeError),
            row("vectors of no columns", "vectors", CORPUS[:, :0], fw.ShapeError),
            row("vectors of 2**31 empty rows", "vectors", np.zeros((2**31, 0)), fw.ShapeError),
            row("vectors of 2**31 columns", "vectors", virtual(2, 2**31), fw.ShapeError),
            Row(
                "vectors without end in a tenth of a second",
                "vectors",
                lambda: {"vectors": virtual(2**50, 4), "timeout": 0.1},
                fw.DeadlineExceeded,
                named=False,
            ),
            row("vectors with NaN", "vectors", np.full((9, 4), np.nan), fw.ShapeError),
            Row(
                "vectors that are all equal",
                "shrinkage",
                lambda: {"vectors": np.ones((9, 4))},
                fw.ShapeError,
            ),
        ],
        fitted,
    ),
    Subject(
        "Whitening.apply",
        {"x": ROWS},
        [
            *float_array("x", ROWS, least_axes=1),
            *out_array(ROWS.shape),
            *runtime_option(),
            *timeout_option(),
            row("x of 5 columns", "x", normal(3, 5), fw.ShapeError),
            row("x of no rows", "x", normal(0, 4), gives=normal(0, 4)),
            unnamed("endless x", "x", virtual(2**50, 4), fw.OutOfMemoryError),
        ],
        lambda rt, **given: whitening(rt).apply(**{"runtime": rt, **given}),
    ),
    Subject("Whitening.save", {"path": "saved"}, path_option("path", read=False), saved_whitening),
    Subject("Whitening.load", {"path": "saved"}, path_option("path"), loaded_whitening),
]
