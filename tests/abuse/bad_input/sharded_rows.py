"""Bad input of the sharded index, in which each shard has its own runtime."""

import tempfile
from pathlib import Path

import numpy as np
from index_rows import IDS, QUERIES, X, ids_option, ids_to_get, known_ids, vectors
from option_rows import count, path_option, timeout_option, word
from subject import Subject, row, unnamed

import flashwasm as fw


def made(_, **given):
    """Return what an index says of itself."""
    with fw.ShardedIndex(**{"threads": 1, **given}) as index:
        return index.kind, index.dim, index.metric, len(index)


def filled():
    """Return an index of five vectors in three shards."""
    index = fw.ShardedIndex("flat", 4, shard_size=2, threads=1)
    index.add(X, IDS)
    return index


def added(_, **given):
    """Return a search after vectors were added."""
    with fw.ShardedIndex("flat", 4, shard_size=2, threads=1) as index:
        index.add(**given)
        return index.search(QUERIES, 3)


def removed(_, **given):
    """Return a search after vectors were removed."""
    with filled() as index:
        index.remove(**given)
        return index.search(QUERIES, 3)


def gotten(_, ids):
    """Return vectors by their ids."""
    with filled() as index:
        return index.get(ids)


def searched(_, **given):
    """Return a search."""
    with filled() as index:
        return index.search(**given)


def saved(_, path):
    """Return a search after the index was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder, filled() as index:
        at = Path(folder) / path if isinstance(path, str) else path
        index.save(at)
        with fw.ShardedIndex.load(at, threads=1) as loaded:
            return loaded.search(QUERIES, 3)


def loaded(_, path, threads):
    """Return a search in an index that was saved and loaded."""
    with tempfile.TemporaryDirectory() as folder, filled() as index:
        index.save(Path(folder) / "saved")
        at = Path(folder) / path if isinstance(path, str) else path
        with fw.ShardedIndex.load(at, threads=threads) as again:
            return again.search(QUERIES, 3)


# Of options that the shards' class checks, a few rows each show that its errors come through.
SUBJECTS = [
    Subject(
        "ShardedIndex",
        {"kind": "flat", "dim": 4},
        [
            *word("kind", "flat"),
            *count("dim", 4),
            *count("shard_size", 9, big=None, optional=True),
            *(r for r in count("threads", 1, optional=True) if r.raises is fw.DTypeError),
            *(row(f"threads of {n}", "threads", n, fw.ShapeError) for n in (0, -1, 2**31)),
            *word("metric", "cosine"),
            row("an option that is unknown", "options", {}, TypeError),
        ],
        made,
        once=True,
    ),
    Subject(
        "ShardedIndex.add",
        {"vectors": X, "ids": IDS},
        [*vectors("vectors", X), *ids_option(optional=True), *timeout_option()],
        added,
        once=True,
    ),
    Subject(
        "ShardedIndex.remove",
        {"ids": IDS[:2]},
        [
            row("ids as a set", "ids", set(IDS[:2].tolist())),
            row("ids of others", "ids", [100], fw.IndexRangeError),
            row("ids of None", "ids", None, fw.DTypeError),
            row("ids of floats", "ids", [1.0], fw.DTypeError),
            row("ids given twice", "ids", [7, 7], fw.ShapeError),
            unnamed("ids without end", "ids", np.broadcast_to(1, 2**50), fw.OutOfMemoryError),
        ],
        removed,
        once=True,
    ),
    Subject(
        "ShardedIndex.get",
        {"ids": IDS[:2]},
        [*known_ids(), *ids_to_get()],
        gotten,
    ),
    Subject(
        "ShardedIndex.search",
        {"queries": QUERIES, "k": 3},
        [
            *vectors("queries", QUERIES),
            *(r for r in count("k", 3)),
            *timeout_option(),
            row("filter of all positions", "filter", np.ones(5, np.bool_)),
            row("filter of too few positions", "filter", np.ones(4, np.bool_), fw.ShapeError),
            row("filter of all ids in a list", "filter", IDS.tolist()),
            row("filter of an id twice", "filter", [7, 7], fw.ShapeError),
            row("filter of all ids", "filter", {*IDS.tolist(), "other"}),
            row("an option that is unknown", "options", {}, TypeError),
        ],
        searched,
        once=True,
    ),
    Subject(
        "ShardedIndex.save",
        {"path": "saved"},
        path_option("path", read=False),
        saved,
        once=True,
    ),
    Subject(
        "ShardedIndex.load",
        {"path": "saved", "threads": 1},
        [
            *path_option("path"),
            *(row(f"threads of {n!r}", "threads", n, fw.DTypeError) for n in ("1", 1.0, True)),
            *(row(f"threads of {n}", "threads", n, fw.ShapeError) for n in (0, -1)),
        ],
        loaded,
        once=True,
    ),
]
