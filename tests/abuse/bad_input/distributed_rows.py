"""Bad input of distributed work. Most errors are raised before the executor gets work."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from index_rows import IDS, QUERIES, X, ids_option
from option_rows import count, flag, path_option, word
from subject import Subject, row, unnamed

import flashwasm as fw
import tiny_bert
from flashwasm import distributed

EXECUTOR = ThreadPoolExecutor(1)
RNG = np.random.default_rng(0)
Q, K, V = RNG.standard_normal((3, 2, 7, 4), np.float32)
CORPUS = RNG.standard_normal((9, 4), np.float32)
EXECUTORS = [
    row(f"executor of {value!r:.20}", "executor", value, fw.DTypeError)
    for value in (None, 1, "pool", ThreadPoolExecutor, {})
]


def arrays(name):
    """Return the rows of an array that may also be the path of a .npy file."""
    return [
        *(row(f"{name} of {x!r:.20}", name, x, fw.DTypeError) for x in (None, 1, {}, [["a", "b"]])),
        row(f"{name} of integers", name, np.ones((2, 7, 4), np.int64), fw.DTypeError),
        row(f"{name} of one axis", name, np.ones(4, np.float32), fw.DTypeError),
        unnamed(f"{name} of no file", name, "absent", OSError),
        row(f"{name} with a zero byte", name, "a\0b", fw.ShapeError),
    ]


def built(_, path="index", **given):
    """Return a search in an index that was built."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / path if isinstance(path, str) else path
        distributed.build_index(path=at, **given)
        return distributed.search_index(EXECUTOR, at, QUERIES, 3)


def searched(_, path="index", **given):
    """Return a search in an index."""
    with tempfile.TemporaryDirectory() as folder:
        distributed.build_index(EXECUTOR, Path(folder) / "index", X, ids=IDS, shard_size=2)
        at = Path(folder) / path if isinstance(path, str) else path
        return distributed.search_index(path=at, **given)


def workers(_, **given):
    """Return the numbers of workers and threads. No process starts before the first call."""
    with distributed.LocalWorkers(**given) as made:
        return made.workers, made.threads


def encoded(_, model="model", **given):
    """Return vectors of a model."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_bert.write(Path(folder) / "model")
        at = Path(folder) / model if isinstance(model, str) else model
        texts = given.pop("texts", ["add an edge"])
        sizes = {
            name: given.pop(name)
            for name in set(given) & {"batch_tokens", "max_length", "progress"}
        }
        method = given.pop("method", "encode")
        encoder = distributed.WorkersEncoder(model=at, **{"executor": EXECUTOR, **given})
        return getattr(encoder, method)(texts, **sizes)


SUBJECTS = [
    Subject(
        "distributed.attention",
        {"executor": EXECUTOR, "q": Q, "k": K, "v": V},
        [
            *EXECUTORS,
            row("q of None", "q", None, fw.DTypeError),
            row("q of one axis", "q", Q[0, 0], fw.ShapeError),
            *arrays("k"),
            *arrays("v"),
            row("v of other lengths", "v", V[:, :5], fw.ShapeError),
            *(r for r in count("part_keys", 7, big=None, optional=True)),
            *flag("return_lse"),
            row("an option that is unknown", "options", {}, TypeError),
        ],
        lambda _, **given: distributed.attention(**given),
    ),
    Subject(
        "distributed.top_k",
        {"executor": EXECUTOR, "queries": CORPUS[:2], "corpus": CORPUS, "k": 3},
        [
            *EXECUTORS,
            row("queries of None", "queries", None, fw.DTypeError),
            row("queries of other columns", "queries", CORPUS[:, :3], fw.ShapeError),
            *arrays("corpus"),
            row("corpus of three axes", "corpus", K, fw.ShapeError),
            *count("k", 3),
            *word("metric", "cosine"),
            *(r for r in count("part_rows", 4, big=None, optional=True)),
        ],
        lambda _, **given: distributed.top_k(**given),
    ),
    Subject(
        "distributed.build_index",
        {"executor": EXECUTOR, "vectors": X, "ids": IDS},
        [
            *EXECUTORS,
            *path_option("path", read=False),
            *arrays("vectors"),
            *ids_option(optional=True),
            *word("kind", "flat"),
            *count("shard_size", 9, big=None, optional=True),
            row("an option that is unknown", "options", {}, TypeError),
        ],
        built,
    ),
    Subject(
        "distributed.search_index",
        {"executor": EXECUTOR, "queries": QUERIES, "k": 3},
        [
            *EXECUTORS,
            *path_option("path"),
            row("queries of None", "queries", None, fw.DTypeError),
            *count("k", 3),
            row("filter of an id twice", "filter", [7, 7], fw.ShapeError),
            row("an option that is unknown", "options", {}, TypeError),
        ],
        searched,
    ),
    Subject(
        "distributed.LocalWorkers",
        {"workers": 2, "threads": 1},
        [
            *(r for r in count("workers", 2, optional=True) if r.raises is not None),
            *(r for r in count("threads", 1, optional=True) if r.raises is not None),
        ],
        workers,
    ),
    Subject(
        "distributed.WorkersEncoder",
        {"model": "model"},
        [
            *EXECUTORS,
            row("model of a number", "model", 1, fw.DTypeError),
            row("model that is not there", "model", "absent", fw.CapabilityError),
            *word("precision", "float32"),
        ],
        encoded,
    ),
    *(
        Subject(
            f"distributed.WorkersEncoder.{method}",
            {"texts": ["add an edge"], "method": method},
            [
                row("texts of one string", "texts", "add", fw.DTypeError),
                row("texts of numbers", "texts", [1], fw.DTypeError),
                *count("batch_tokens", 9, big=None),
                *(r for r in count("max_length", 256, big=None) if r.raises is not None),
                row("progress of a text", "progress", "yes", fw.DTypeError),
            ],
            encoded,
        )
        for method in ("encode", "encode_tokens")
    ),
]
