"""Bad input of the indexes: flat, HNSW and sharded."""

import re
import tempfile
from pathlib import Path

import numpy as np
from array_rows import float_array, int_array, virtual
from option_rows import (
    BEYOND_FLOATS,
    count,
    flag,
    path_option,
    runtime_option,
    timeout_option,
    word,
)
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from sample_arrays import normal

X = normal(5, 4)
QUERIES = normal(2, 4, seed=1)
IDS = np.array([7, 3, 9, 1, 5])
MASK = np.array([True, False, True, True, True])
CLASSES = {"FlatIndex": fw.FlatIndex, "HNSWIndex": fw.HNSWIndex}


def vectors(name, x):
    """Return the rows of an argument of vectors of 4 numbers."""
    return [
        *float_array(name, x, least_axes=2, most_axes=2),
        row(f"{name} of 5 columns", name, normal(2, 5), fw.ShapeError),
        row(f"{name} of no columns", name, normal(2, 0), fw.ShapeError),
        row(f"{name} with NaN", name, np.full((2, 4), np.nan, np.float32), fw.ShapeError),
        row(f"{name} with infinity", name, np.full((2, 4), -np.inf, np.float32), fw.ShapeError),
        unnamed(f"{name} of 2**40 rows", name, virtual(2**40, 4), fw.OutOfMemoryError),
        row(f"{name} of 2**40 columns", name, virtual(1, 2**40), fw.ShapeError),
    ]


def ids_option(*, optional):
    """Return the rows of ``ids``."""
    rows = int_array("ids", IDS, optional=optional, outside=None, most_axes=1)
    rows = [r for r in rows if "text" not in r.case and "bytes" not in r.case]
    rows += [
        row("ids of text among integers", "ids", ["a", "b", "c", "d", 1], fw.DTypeError),
        row("ids of integers among text", "ids", (1, 2, 3, 4, "a"), fw.DTypeError),
        row("ids given twice", "ids", [1, 1, 2, 3, 4], fw.ShapeError),
        row("ids beyond int64", "ids", np.full(5, 2**64 - 1, np.uint64), fw.ShapeError),
        row("ids of mixed objects", "ids", np.array([1, "a"] * 2 + [None], object), fw.DTypeError),
        row("ids of half a character", "ids", ["\ud800", "a", "b", "c", "d"], fw.ShapeError),
        row("ids without end", "ids", np.broadcast_to(1, 2**50), fw.ShapeError),
    ]
    return rows


def constructor(name, more):
    """Return the subject that makes an index."""
    kind = CLASSES[name]

    def run(rt, **given):
        index = kind(**{"runtime": rt, **given})
        return repr(index), len(index)

    rows = [
        *count("dim", 4),
        *word("metric", "cosine"),
        *word("dtype", "float32"),
        *runtime_option(),
        *more,
    ]
    return Subject(name, {"dim": 4}, rows, run)


def filled(name, rt):
    """Return an index of five vectors."""
    index = CLASSES[name](4, runtime=rt)
    index.add(X, IDS)
    return index


def known_ids():
    """Return the rows of ids that are in the index."""
    return [
        *(
            r
            for r in int_array("ids", IDS[:2], most_axes=1)
            if not re.search(r"2\*\*64|in a list|text|bytes", r.case)
        ),
        row("ids beyond int64", "ids", [2**63, 5], fw.ShapeError),
        row("ids of text", "ids", ["7"], fw.DTypeError),
        row("ids of a single text", "ids", "7", fw.DTypeError),
    ]


def ids_to_get():
    """Return further rows of the ids of vectors to return."""
    return [
        row("ids as a set", "ids", set(IDS[:2].tolist()), fw.DTypeError),
        row("ids of one integer that is unknown", "ids", 100, fw.IndexRangeError),
        row("ids of an integer beyond int64", "ids", 2**64, fw.ShapeError),
        row("ids of True", "ids", np.True_, fw.DTypeError),
        row("ids of a float", "ids", 1.0, fw.DTypeError),
        unnamed("ids without end", "ids", np.broadcast_to(IDS[0], 2**50), fw.OutOfMemoryError),
    ]


def methods(name, searching):
    """Return the subjects of an index's methods; ``searching`` has further rows of a search."""

    def add(rt, **given):
        index = CLASSES[name](4, runtime=rt)
        index.add(**given)
        return [*index.search(QUERIES, 3), index.ids]

    def remove(rt, **given):
        index = filled(name, rt)
        index.remove(**given)
        return [*index.search(QUERIES, 3), index.ids]

    def search(rt, **given):
        return filled(name, rt).search(**given)

    def save(rt, path):
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder) / path if isinstance(path, str) else path
            filled(name, rt).save(at)
            return CLASSES[name].load(at, runtime=rt).search(QUERIES, 3)

    def load(rt, path, **given):
        with tempfile.TemporaryDirectory() as folder:
            filled(name, rt).save(Path(folder) / "saved")
            at = Path(folder) / path if isinstance(path, str) else path
            return CLASSES[name].load(at, **{"runtime": rt, **given}).search(QUERIES, 3)

    return [
        Subject(
            f"{name}.add",
            {"vectors": X, "ids": IDS},
            [*vectors("vectors", X), *ids_option(optional=True), *timeout_option()],
            add,
        ),
        Subject(
            f"{name}.remove",
            {"ids": IDS[:2]},
            [
                *known_ids(),
                row("ids as a set", "ids", set(IDS[:2].tolist())),
                row("ids given twice", "ids", [7, 7], fw.ShapeError),
                row("ids of lists in a set", "ids", {(1,), (2, 3)}, fw.DTypeError),
            ],
            remove,
        ),
        Subject(
            f"{name}.get",
            {"ids": IDS[:2]},
            [*known_ids(), *ids_to_get()],
            lambda rt, ids: filled(name, rt).get(ids),
        ),
        Subject(
            f"{name}.search",
            {"queries": QUERIES, "k": 3},
            [
                *vectors("queries", QUERIES),
                *(r for r in count("k", 3) if r.raises or "int" in r.case),
                *timeout_option(),
                *searching,
                row(
                    "queries of none",
                    "queries",
                    normal(0, 4),
                    gives=(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int64)),
                ),
                Row(
                    "k of 2**31 - 1 for many queries",
                    "k",
                    lambda: {"k": 2**31 - 1, "queries": np.ones((2**14, 4), np.float32)},
                    fw.OutOfMemoryError,
                    named=False,
                ),
            ],
            search,
        ),
        Subject(f"{name}.save", {"path": "saved"}, path_option("path", read=False), save),
        Subject(f"{name}.load", {"path": "saved"}, [*path_option("path"), *runtime_option()], load),
    ]


FILTERS = [
    *(r for r in int_array("filter", IDS, optional=True, outside=None) if "bool" not in r.case),
    row("filter of all ids and others in a list", "filter", [*IDS.tolist(), 2, 4]),
    row("filter of an id twice", "filter", [7, 7], fw.ShapeError),
    row("filter of zeros and ones", "filter", MASK.astype(np.int64), fw.ShapeError),
    row("filter of text", "filter", ["7"], fw.DTypeError),
    row("filter of 4 vectors", "filter", MASK[:4], fw.ShapeError),
    row("filter of two axes", "filter", MASK[None], fw.ShapeError),
    row("filter without end", "filter", virtual(2**50, dtype=np.bool_), fw.ShapeError),
    row("filter of all ids and others", "filter", {*IDS.tolist(), 10**30, "a", None}),
]
GRAPH = [
    *(r for r in count("ef", 100, big=fw.ShapeError)),
    *flag("exact", good=True, optional=True),
]

SUBJECTS = [
    constructor("FlatIndex", []),
    constructor(
        "HNSWIndex",
        [
            *count("m", 16),
            *count("ef_construction", 200),
            row("m of 1", "m", 1, fw.ShapeError),
            *(row(f"seed of {s!r}", "seed", s, fw.DTypeError) for s in (1.0, "1", None, True)),
            *(row(f"seed of {s:.3g}", "seed", s) for s in (-1, 2**64, 10**30)),
            row("seed beyond any float", "seed", BEYOND_FLOATS),
        ],
    ),
    *methods("FlatIndex", FILTERS),
    *methods("HNSWIndex", [*GRAPH, *FILTERS]),
]


def reported(rt, **given):
    """Return a report of a search."""
    return filled("HNSWIndex", rt).search_report(**given)


SUBJECTS.append(
    Subject(
        "HNSWIndex.search_report",
        {"queries": QUERIES, "k": 3, "exact": True},
        [*vectors("queries", QUERIES), *count("k", 3), *GRAPH],
        reported,
    )
)
