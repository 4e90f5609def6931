"""Bad input of the cache of keys and values."""

import numpy as np
from array_rows import float_array, out_array, overlapping, virtual
from attention_rows import DROPOUT, LENGTHS, SCORES, K, Q, V, mask_option
from option_rows import BEYOND_FLOATS, count, flag, runtime_option, timeout_option, word
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from sample_arrays import normal


def made(rt, **given):
    """Return the numbers of a new cache."""
    cache = fw.KVCache(**{"runtime": rt, **given})
    return cache.heads, cache.dim, cache.dv, cache.capacity, cache.batch, cache.dtype


def appended(rt, k, v):
    """Return what a cache holds after keys and values were appended."""
    cache = fw.KVCache(2, 4, 8, runtime=rt)
    cache.append(k, v)
    return cache.numpy()


def attended(rt, q, **options):
    """Return attention of queries to three keys."""
    cache = fw.KVCache(2, 4, 8, runtime=rt)
    cache.append(K, V)
    return cache.attention(q, **options)


def truncated(rt, n):
    """Return what is left of three keys."""
    cache = fw.KVCache(2, 4, 8, runtime=rt)
    cache.append(K, V)
    cache.truncate(n)
    return cache.numpy()


def endless_option(name):
    """Return the row of a size that no memory has room for."""
    return unnamed(f"{name} of 2**31 - 1", name, 2**31 - 1, fw.OutOfMemoryError)


SUBJECTS = [
    Subject(
        "KVCache",
        {"heads": 2, "dim": 4, "capacity": 8},
        [
            *count("heads", 2),
            *count("dim", 4),
            *count("capacity", 8),
            *count("dv", 4, optional=True),
            *count("batch", 1),
            *word("dtype", "float32"),
            *runtime_option(),
            *(endless_option(name) for name in ("heads", "capacity", "batch")),
        ],
        run=made,
    ),
    Subject(
        "KVCache.append",
        {"k": K, "v": V},
        [
            *float_array("k", K, least_axes=3, most_axes=4),
            *float_array("v", V, least_axes=3, most_axes=4),
            row("v of other keys", "v", normal(2, 2, 4), fw.ShapeError),
            row("k of other heads", "k", normal(3, 3, 4), fw.ShapeError),
            Row(
                "more keys than there is room for",
                "k",
                lambda: {"k": normal(2, 9, 4), "v": normal(2, 9, 4)},
                fw.ShapeError,
            ),
            Row(
                "endless keys",
                "k",
                lambda: {"k": virtual(2, 2**50, 4), "v": virtual(2, 2**50, 4)},
                fw.ShapeError,
            ),
            Row(
                "no keys",
                "k",
                lambda: {"k": normal(2, 0, 4), "v": normal(2, 0, 4)},
                gives=(np.zeros((1, 2, 0, 4), np.float32),) * 2,
            ),
        ],
        run=appended,
    ),
    Subject(
        "KVCache.attention",
        {"q": Q, "scale": 0.5, "seed": 1},
        [
            *float_array("q", Q, least_axes=2),
            *SCORES,
            *mask_option(),
            *DROPOUT,
            *LENGTHS,
            *flag("return_lse"),
            *out_array(Q.shape),
            *overlapping("q", Q, Q.shape),
            *timeout_option(),
            row("q of 3 heads", "q", normal(3, 3, 4), fw.ShapeError),
            row("q of one head", "q", normal(3, 4), fw.ShapeError),
            *(
                row(f"q of {n} queries without heads", "q", normal(0, n, 4), gives=normal(0, n, 4))
                for n in (1, 3)
            ),
            row("q of another dimension", "q", normal(2, 3, 5), fw.ShapeError),
            unnamed("endless queries", "q", virtual(2, 2**50, 4), fw.OutOfMemoryError),
        ],
        run=attended,
    ),
    Subject(
        "KVCache.truncate",
        {"n": 2},
        [
            *(r for r in count("n", 2) if r.case != "n of 0"),
            row("n below any float", "n", -BEYOND_FLOATS, fw.ShapeError),
            row("n of more than there is", "n", 4, fw.ShapeError),
        ],
        run=truncated,
    ),
]
