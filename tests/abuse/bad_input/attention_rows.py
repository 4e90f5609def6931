"""Bad input of attention and related functions, and of the cache of keys and values."""

import numpy as np
from array_rows import float_array, int_array, out_array, overlapping, virtual
from option_rows import (
    BEYOND_FLOATS,
    backend_option,
    flag,
    number,
    runtime_option,
    timeout_option,
    word,
)
from subject import Row, Subject, row

import flashwasm as fw
from sample_arrays import normal

Q = normal(2, 3, 4)
K = normal(2, 3, 4, seed=1)
V = normal(2, 3, 4, seed=2)
# A batch of two.
BATCH = {"q": normal(2, 2, 3, 4), "k": normal(2, 2, 3, 4, seed=1), "v": normal(2, 2, 3, 4, seed=2)}
OUT, LSE = fw.attention(Q, K, V, return_lse=True)
OFFSETS = np.array([0, 1, 3])
PACKED = {name: normal(3, 2, 4, seed=i) for i, name in enumerate("qkv")}
MASK = np.array([[True, False, True]] * 3)
BIAS = normal(3, 3)
NOTHING = np.zeros((2, 3, 0), np.float32)

EVERYWHERE = [*runtime_option(), *timeout_option()]


def endless(*names, x, raises=fw.OutOfMemoryError):
    """Return the row of operands that repeat one element."""
    return Row(
        f"endless {names[0]}", names[0], lambda: dict.fromkeys(names, x), raises, named=False
    )


def window_option():
    """Return the rows of ``window``."""
    pairs = [(-2, 0), (0, -(2**63)), (1, 2, 3), (1,), (), [1]]
    wrong = [
        (1.0, 2),
        ("a", 1),
        (True, 1),
        (None, [1]),
        np.zeros(2),
        (np.array(1), 1),
        np.zeros((2, 2), int),
    ]
    scalars = [1, "12", b"12", np.array(1), {1, 2}, {1: 2, 2: 3}, object(), True, float("nan")]
    return [
        *(row(f"window of {value!r:.40}", "window", value, fw.ShapeError) for value in pairs),
        *(row(f"window of {value!r:.40}", "window", value, fw.DTypeError) for value in wrong),
        *(row(f"window of {value!r:.40}", "window", value, fw.ShapeError) for value in scalars),
        *(row(f"window of {n:.3g}", "window", (n, n)) for n in (2**31, 2**63, 10**30)),
        row("window beyond any float", "window", (BEYOND_FLOATS, None)),
        row("window below any float", "window", (-BEYOND_FLOATS, None), fw.ShapeError),
        row("window of int64", "window", np.array([-1, 100])),
        row("window of open sides", "window", [None, -1]),
    ]


def causal_option():
    """Return the rows of ``causal``, which takes flags, words, integers and arrays of them."""
    wrong = [1.0, [1.0], b"top_left", {}, object(), np.array("top_left"), np.array([True]), {1}]
    return [
        *(row(f"causal of {value!r}", "causal", value, fw.ShapeError) for value in ("no", "")),
        *(row(f"causal of {value!r:.40}", "causal", value, fw.DTypeError) for value in wrong),
        *(row(f"causal of {n:.3g}", "causal", n) for n in (2**31, 2**62, np.uint64(2**63))),
        row("causal beyond 64 bits", "causal", 10**30),
        row("causal beyond any float", "causal", BEYOND_FLOATS),
        row("causal of too many", "causal", [0, 0, 0, 0, 0], fw.ShapeError),
        row("causal of masked integers", "causal", np.ma.array([1], mask=[1]), fw.DTypeError),
        row("causal of NumPy's bool", "causal", np.False_),
        row("causal of None", "causal", None),
    ]


def mask_option():
    """Return the rows of ``mask``, which takes booleans and floats."""
    return [
        *(r for r in float_array("mask", BIAS, optional=True) if r.raises and "bool" not in r.case),
        row("mask of 4 keys", "mask", np.ones((3, 4), np.bool_), fw.ShapeError),
        row("mask of other heads", "mask", np.ones((3, 3, 3), np.bool_), fw.ShapeError),
        row("mask without keys", "mask", np.ones((3, 0), np.bool_), fw.ShapeError),
        endless("mask", x=virtual(2**40, 1, 1, 3)),
    ]


def heads_option(name):
    """Return the rows of an option with a number for each of two heads."""
    x = normal(2)
    rows = float_array(name, x, optional=True, most_axes=1)
    return [
        *(r for r in rows if r.raises),
        row(f"{name} of 3 heads", name, normal(3), fw.ShapeError),
        row(f"{name} of an enormous number", name, virtual(2**60), fw.ShapeError),
    ]


def seed_option():
    """Return the rows of ``seed``, from 0 to 2**64 - 1."""
    wrong = [1.0, "1", True, [1], float("nan"), np.array(1)]
    return [
        *(row(f"seed of {n:.3g}", "seed", n, fw.ShapeError) for n in (-1, 2**64, 10**30)),
        row("seed beyond any float", "seed", BEYOND_FLOATS, fw.ShapeError),
        *(row(f"seed of {n!r}", "seed", n, fw.DTypeError) for n in wrong),
        row("seed of uint64", "seed", np.uint64(2**64 - 1)),
    ]


SCORES = [*causal_option(), *window_option(), *number("softcap", 0.0, optional=True, least=0.0)]
SCORES += [*number("scale", 0.5, optional=True)]
SCORES += [*heads_option("alibi_slopes"), *heads_option("sinks")]
DROPOUT = [
    *number("dropout", 0.0, least=0.0),
    *(row(f"dropout of {p}", "dropout", p, fw.ShapeError) for p in (1, 1.0, 2)),
    *seed_option(),
]
LENGTHS = [
    *(
        r
        for r in int_array("kv_lengths", np.array([3, 3]), optional=True, outside=fw.ShapeError)
        if r.raises
    ),
    row("kv_lengths of 4", "kv_lengths", 4, fw.ShapeError),
    row("kv_lengths of 3 batch entries", "kv_lengths", [3, 3, 3], fw.ShapeError),
]


def operands(least_axes=2, most_axes=None):
    """Return the rows of q, k and v."""
    given = {"q": Q, "k": K, "v": V} if most_axes is None else PACKED
    rows = []
    for name, x in given.items():
        rows += float_array(name, x, least_axes=least_axes, most_axes=most_axes)
    return rows


def shapes_that_disagree():
    """Return rows of q, k and v that do not fit together."""
    return [
        row("k of another dimension", "k", normal(2, 3, 5), fw.ShapeError),
        row("v of other keys", "v", normal(2, 4, 4), fw.ShapeError),
        row("v of other heads", "v", normal(1, 3, 4), fw.ShapeError),
        row("q of 3 heads", "q", normal(3, 3, 4), fw.ShapeError),
        Row(
            "k and v without heads",
            "k",
            lambda: {"k": normal(0, 3, 4), "v": normal(0, 3, 4)},
            fw.ShapeError,
        ),
        row("v of 257 columns", "v", normal(2, 3, 257), fw.ShapeError),
        Row(
            "q and k of 2**31 columns",
            "q",
            lambda: {"q": virtual(2, 3, 2**31), "k": virtual(2, 3, 2**31)},
            fw.ShapeError,
        ),
    ]


def nothing(*shape):
    """Return the row in which no operand has an element."""
    made = {"q": normal(2, 0, 4), "k": normal(2, 0, 4), "v": normal(2, 0, 4)}
    return Row("no queries and no keys", "q", lambda: made, gives=np.zeros(shape, np.float32))


def no_heads(queries):
    """Return the row in which there is no head at all."""
    made = {name: normal(0, queries, 4) for name in "qkv"}
    nothing_left = np.zeros((0, queries, 4), np.float32)
    return Row(f"no heads of {queries} queries", "q", lambda: made, gives=nothing_left)


SUBJECTS = [
    Subject(
        "attention",
        {"q": Q, "k": K, "v": V, "scale": 0.5, "seed": 2**64 - 1},
        [
            *operands(),
            *SCORES,
            *mask_option(),
            *DROPOUT,
            *LENGTHS,
            *flag("return_lse"),
            *out_array(Q.shape),
            *overlapping("q", Q, Q.shape),
            *overlapping("k", K, Q.shape),
            *overlapping("v", V, Q.shape),
            *EVERYWHERE,
            *backend_option(),
            *shapes_that_disagree(),
            nothing(2, 0, 4),
            row("q without heads", "q", normal(0, 1, 4), gives=np.zeros((0, 1, 4), np.float32)),
            *(no_heads(queries) for queries in (1, 3)),
            Row(
                "causal of True for other keys",
                "causal",
                lambda: {"causal": True, "k": K[:, :2], "v": V[:, :2]},
                fw.ShapeError,
            ),
            endless("q", x=virtual(2**40, 3, 4)),
            endless("q", x=virtual(2**50, 2, 3, 4)),
            endless("k", "v", x=virtual(2, 2**40, 4)),
        ],
    ),
    Subject(
        "attention",
        BATCH | {"kv_lengths": np.array([1, 3]), "causal": np.array([0, 1])},
        [
            *(r for r in int_array("kv_lengths", np.array([1, 3]), outside=None) if not r.raises),
            *(r for r in int_array("causal", np.array([0, 1]), outside=None) if not r.raises),
        ],
    ),
    Subject(
        "attention",
        BATCH | {"mask": MASK, "sinks": normal(2), "alibi_slopes": normal(2, seed=1)},
        [
            *(r for r in float_array("sinks", normal(2)) if not r.raises),
            *(r for r in float_array("alibi_slopes", normal(2, seed=1)) if not r.raises),
            row("mask in Fortran order", "mask", np.asfortranarray(MASK)),
            row("mask with negative strides", "mask", np.flip(np.flip(MASK).copy())),
            row("mask as nested lists", "mask", MASK.tolist()),
        ],
    ),
    Subject(
        "attention",
        BATCH | {"mask": BIAS},
        [r for r in float_array("mask", BIAS) if not r.raises],
    ),
    Subject(
        "attention_scores",
        {"q": Q, "k": K, "scale": 0.5},
        [
            *(r for r in operands() if r.argument != "v"),
            *SCORES,
            *mask_option(),
            *LENGTHS,
            *word("stage", "softmax"),
            *EVERYWHERE,
            row("k of another dimension", "k", normal(2, 3, 5), fw.ShapeError),
            row("k without heads", "k", normal(0, 3, 4), fw.ShapeError),
            Row(
                "no heads",
                "q",
                lambda: {"q": normal(0, 3, 4), "k": normal(0, 3, 4)},
                gives=np.zeros((0, 3, 3), np.float32),
            ),
            endless("q", "k", x=virtual(2, 2**31, 4)),
            Row(
                "scores of empty rows without end",
                "q",
                lambda: {"q": virtual(2**40, 0), "k": virtual(2**40, 0)},
                fw.OutOfMemoryError,
                named=False,
            ),
        ],
    ),
    Subject(
        "attention_varlen",
        {**PACKED, "cu_seqlens_q": OFFSETS, "cu_seqlens_k": OFFSETS, "scale": 0.5, "seed": 1},
        [
            *operands(least_axes=3, most_axes=3),
            *int_array("cu_seqlens_q", OFFSETS, most_axes=1),
            *int_array("cu_seqlens_k", OFFSETS, optional=True, most_axes=1),
            *SCORES,
            *DROPOUT,
            *flag("return_lse"),
            *out_array((3, 2, 4)),
            *(r for name in "qkv" for r in overlapping(name, PACKED[name], (3, 2, 4))),
            *EVERYWHERE,
            row("cu_seqlens_q that ends early", "cu_seqlens_q", [0, 1, 2], fw.ShapeError),
            row("cu_seqlens_k of one more", "cu_seqlens_k", [0, 1, 2, 3], fw.ShapeError),
            row("cu_seqlens_k that falls", "cu_seqlens_k", [0, 5, 3], fw.IndexRangeError),
            endless("cu_seqlens_q", x=virtual(2**50, dtype=np.int64)),
            Row(
                "k and v without heads",
                "k",
                lambda: {"k": normal(3, 0, 4), "v": normal(3, 0, 4)},
                fw.ShapeError,
            ),
            Row(
                "no heads",
                "q",
                lambda: {name: normal(3, 0, 4) for name in "qkv"},
                gives=np.zeros((3, 0, 4), np.float32),
            ),
            endless("q", x=virtual(3, 2**50, 4)),
        ],
    ),
    Subject(
        "attention_backward",
        {"dout": V, "q": Q, "k": K, "v": V, "out": OUT, "lse": LSE, "seed": 1},
        [
            *operands(),
            *float_array("dout", V, most_axes=3),
            *float_array("out", OUT, most_axes=3),
            *float_array("lse", LSE, most_axes=2),
            *SCORES,
            *mask_option(),
            *DROPOUT,
            *LENGTHS,
            *EVERYWHERE,
            *shapes_that_disagree(),
            row("lse of other queries", "lse", LSE[:, :2], fw.ShapeError),
            row("seed that is left out", "seed", None),
            Row(
                "seed that dropout needs",
                "seed",
                lambda: {"seed": None, "dropout": 0.5},
                fw.ShapeError,
            ),
            Row(
                "no heads",
                "q",
                lambda: (
                    {n: normal(0, 3, 4) for n in ("dout", "q", "k", "v", "out")}
                    | {"lse": normal(0, 3)}
                ),
                gives=(np.zeros((0, 3, 4), np.float32),) * 3,
            ),
            Row(
                "endless operands",
                "q",
                lambda: (
                    {n: virtual(2**40, 3, 4) for n in ("dout", "q", "k", "v", "out")}
                    | {"lse": virtual(2**40, 3)}
                ),
                fw.OutOfMemoryError,
                named=False,
            ),
        ],
    ),
    Subject(
        "merge_attention",
        {"outs": [OUT, V], "lses": [LSE, LSE]},
        [
            *(
                Row(r.case, r.argument, lambda r=r: {"outs": [OUT, r.given()["outs"]]}, r.raises)
                for r in float_array("outs", V, least_axes=1)
            ),
            *(
                Row(r.case, r.argument, lambda r=r: {"lses": [LSE, r.given()["lses"]]}, r.raises)
                for r in float_array("lses", LSE)
            ),
            *(row(f"outs of {x!r}", "outs", x, fw.DTypeError) for x in (None, 1, object(), 1.5)),
            *(row(f"lses of {x!r}", "lses", x, fw.DTypeError) for x in (None, 1, object(), 1.5)),
            row("outs of text", "outs", "ab", fw.DTypeError),
            Row("no results", "outs", lambda: {"outs": [], "lses": []}, fw.ShapeError),
            row("lses of one less", "lses", [LSE], fw.ShapeError),
            row("lses of another shape", "lses", [LSE, LSE[:1]], fw.ShapeError),
            row("outs of 2**31 empty results", "outs", np.zeros((2**31, 0)), fw.ShapeError),
            row("outs of 2**40 results", "outs", virtual(2**40, 2, 3, 4), fw.ShapeError),
            Row(
                "2**31 results without elements",
                "outs",
                lambda: {"outs": np.zeros((2**31, 0)), "lses": np.zeros((2**31, 0))},
                fw.ShapeError,
            ),
            Row(
                "endless results",
                "outs",
                lambda: {"outs": [virtual(2**40, 2**20)], "lses": [virtual(2**40)]},
                fw.OutOfMemoryError,
                named=False,
            ),
        ],
        run=lambda _, **given: fw.merge_attention(**given),
    ),
]
