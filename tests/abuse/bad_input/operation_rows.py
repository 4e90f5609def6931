"""Bad input of the operations: matmul, softmax, layer_norm and the rest."""

import numpy as np
from array_rows import float_array, int_array, out_array, overlapping, virtual
from option_rows import (
    axis,
    backend_option,
    count,
    flag,
    number,
    runtime_option,
    timeout_option,
    word,
)
from subject import Row, Subject, row

import flashwasm as fw
from sample_arrays import normal

X = normal(3, 4)
Y = normal(3, 4, seed=1)
SQUARE = normal(4, 4)
HEADS = normal(1, 2, 3, 4)
ANGLES = {"cos": normal(1, 3, 2), "sin": normal(1, 3, 2, seed=1)}
PLACES = np.array([[2, 0, 1]])
OFFSETS = np.array([0, 2, 3])

# Rows of the arguments that every operation has.
EVERYWHERE = [*runtime_option(), *timeout_option()]
# Arrays of no memory: more elements than a computer can hold, or none along an enormous axis.
ENDLESS = virtual(2**40, 2**20)
EMPTY = np.zeros((2**31, 0), np.float32)


def endless(*names, x=ENDLESS, raises=fw.OutOfMemoryError):
    """Return the row of operands of 2**60 elements that repeat one."""
    return Row(
        f"endless {names[0]}", names[0], lambda: dict.fromkeys(names, x), raises, named=False
    )


def multiplied_by_codes(rt, **given):
    """Multiply by the codes of SQUARE, unless a row gives another right operand."""
    return fw.matmul_i8(**{"b": fw.Int8Matrix(SQUARE, runtime=rt), **given})


def codes(rt, **given):
    """Return the numbers that the codes of a matrix stand for."""
    return fw.Int8Matrix(**{"runtime": rt, **given}).dequantize()


SUBJECTS = [
    Subject(
        "vecadd",
        {"a": X, "b": Y},
        [
            *float_array("a", X),
            *float_array("b", Y),
            *out_array(X.shape),
            *overlapping("a", X, X.shape),
            *overlapping("b", Y, X.shape),
            *EVERYWHERE,
            endless("a", "b"),
            row("b of other lengths", "b", normal(3, 5), fw.ShapeError),
            row("b without elements", "b", np.zeros((3, 0), np.float32), fw.ShapeError),
            endless("a", x=virtual(2**60, 1, 1)),
        ],
    ),
    Subject(
        "gelu",
        {"x": X},
        [
            *float_array("x", X),
            *word("approximate", "none"),
            *out_array(X.shape),
            *overlapping("x", X, X.shape),
            *EVERYWHERE,
            endless("x"),
        ],
    ),
    Subject(
        "matmul",
        {"a": X, "b": SQUARE, "bias": SQUARE[0]},
        [
            *float_array("a", X, least_axes=1),
            *float_array("b", SQUARE, least_axes=1),
            *float_array("bias", SQUARE[0], optional=True, most_axes=1),
            *out_array(X.shape),
            *overlapping("a", X, X.shape),
            *overlapping("b", SQUARE, X.shape),
            *EVERYWHERE,
            *backend_option(),
            endless("a", x=virtual(2**40, 4)),
            row("b of other rows", "b", X, fw.ShapeError),
            row("b of no rows", "b", np.zeros((0, 4), np.float32), fw.ShapeError),
            row("bias of other length", "bias", X[0, :3], fw.ShapeError),
            Row(
                "a and b of other leading axes",
                "a",
                lambda: {"a": normal(2, 3, 4), "b": normal(3, 4, 4)},
                fw.ShapeError,
            ),
            Row(
                "a whose product with b is endless",
                "a",
                lambda: {"a": virtual(2**31, 0), "b": virtual(0, 2**31), "bias": None},
                fw.OutOfMemoryError,
                named=False,
            ),
        ],
    ),
    Subject(
        "matmul_i8",
        {"a": X, "bias": SQUARE[0]},
        [
            *float_array("a", X, least_axes=1),
            *float_array("bias", SQUARE[0], optional=True, most_axes=1),
            *word("activation", "none"),
            *out_array(X.shape),
            *overlapping("a", X, X.shape),
            *timeout_option(),
            endless("a", x=virtual(2**40, 4)),
            *(
                row(f"b of {value!r:.20}", "b", value, fw.DTypeError)
                for value in (SQUARE, None, 1, "b", [], fw.Int8Matrix)
            ),
            row("a of other columns", "a", X[:, :3], fw.ShapeError),
            row("bias of other length", "bias", X[0, :3], fw.ShapeError),
        ],
        multiplied_by_codes,
    ),
    Subject(
        "Int8Matrix",
        {"b": SQUARE},
        [
            *float_array("b", SQUARE, least_axes=2, most_axes=2),
            *runtime_option(),
            *(row(f"b with {x}", "b", X * np.float32(x), fw.ShapeError) for x in (np.nan, np.inf)),
            row("b of too many rows", "b", virtual(2**16 + 1, 2), fw.ShapeError),
            row("b of 2**31 empty rows", "b", EMPTY, fw.ShapeError),
            endless("b", x=virtual(4, 2**50)),
        ],
        codes,
    ),
    Subject(
        "softmax",
        {"x": X},
        [
            *float_array("x", X, least_axes=1),
            *axis(2),
            *out_array(X.shape),
            *overlapping("x", X, X.shape),
            *EVERYWHERE,
            *backend_option(),
            endless("x"),
            endless("x", x=virtual(2, 2**40)),
        ],
    ),
    Subject(
        "layer_norm",
        {"x": X, "weight": Y[0], "bias": Y[1], "eps": 0.5},
        [
            *float_array("x", X, least_axes=1),
            *float_array("weight", Y[0], optional=True, most_axes=1),
            *float_array("bias", Y[1], optional=True, most_axes=1),
            *number("eps", 0.5, least=0.0),
            *axis(2),
            *out_array(X.shape),
            *overlapping("x", X, X.shape),
            *EVERYWHERE,
            *backend_option(),
            endless("x", x=virtual(2**40, 4)),
            row("weight of other length", "weight", Y[0, :3], fw.ShapeError),
            row("bias that is endless", "bias", virtual(2**40), fw.ShapeError),
        ],
    ),
    Subject(
        "rms_norm",
        {"x": X, "weight": Y[0], "eps": 0.5},
        [
            *float_array("x", X, least_axes=1),
            *float_array("weight", Y[0], optional=True, most_axes=1),
            *number("eps", 0.5, least=0.0),
            *axis(2),
            *out_array(X.shape),
            *overlapping("x", X, X.shape),
            *EVERYWHERE,
            endless("x", x=virtual(2**40, 4)),
            row("weight of other length", "weight", Y[0, :3], fw.ShapeError),
        ],
    ),
    Subject(
        "embedding",
        {"ids": np.array([2, 0, 1]), "table": X},
        [
            *int_array("ids", np.array([2, 0, 1])),
            *float_array("table", X, least_axes=1),
            *out_array(X.shape),
            *overlapping("table", X, X.shape),
            *EVERYWHERE,
            *(row(f"ids of {n}", "ids", [n, 0, 0], fw.IndexRangeError) for n in (3, -4)),
            Row("table without rows", "ids", lambda: {"table": X[:0]}, fw.IndexRangeError),
            endless("table", x=virtual(2**40, 4)),
            endless("ids", x=virtual(2**40, 2**10, dtype=np.int64)),
        ],
    ),
    Subject(
        "rotary_embedding",
        {"x": HEADS, **ANGLES},
        [
            *float_array("x", HEADS, least_axes=3, most_axes=4),
            *float_array("cos", ANGLES["cos"], least_axes=3, most_axes=3),
            *float_array("sin", ANGLES["sin"], least_axes=3, most_axes=3),
            *flag("interleaved"),
            *count("rotary_dim", 4, zero=None, optional=True),
            *count("num_heads", 2, zero=None, optional=True),
            *out_array(HEADS.shape),
            *overlapping("x", HEADS, HEADS.shape),
            *EVERYWHERE,
            row("rotary_dim that is odd", "rotary_dim", 3, fw.ShapeError),
            row("num_heads of others", "num_heads", 3, fw.ShapeError),
            Row(
                "x of an enormous batch",
                "cos",
                lambda: {"x": virtual(2**40, 2, 3, 4)},
                fw.ShapeError,
            ),
        ],
    ),
    Subject(
        "rotary_embedding",
        {"x": HEADS, "cos": X[:, :2], "sin": Y[:, :2], "position_ids": PLACES},
        [
            *int_array("position_ids", PLACES, optional=True, most_axes=2),
            *float_array("cos", X[:, :2], least_axes=2, most_axes=2),
            *float_array("sin", Y[:, :2], least_axes=2, most_axes=2),
            row("position_ids of other length", "position_ids", [[0, 1]], fw.ShapeError),
            row("position_ids of 3", "position_ids", [[0, 1, 3]], fw.IndexRangeError),
            Row(
                "cos and sin without rows",
                "position_ids",
                lambda: {"cos": X[:0, :2], "sin": X[:0, :2]},
                fw.IndexRangeError,
            ),
        ],
    ),
    Subject(
        "mean_pool",
        {"x": X, "cu_seqlens": OFFSETS},
        [
            *float_array("x", X, least_axes=2, most_axes=2),
            *int_array("cu_seqlens", OFFSETS, most_axes=1),
            *flag("normalize"),
            *out_array((2, 4)),
            *overlapping("x", X, (2, 4)),
            *EVERYWHERE,
            row("cu_seqlens that falls", "cu_seqlens", [0, 2, 1], fw.IndexRangeError),
            row("cu_seqlens that begins late", "cu_seqlens", [1, 2, 3], fw.IndexRangeError),
            row("cu_seqlens beyond x", "cu_seqlens", [0, 2, 4], fw.IndexRangeError),
            row("cu_seqlens below 0", "cu_seqlens", [0, -1, 3], fw.IndexRangeError),
            row("cu_seqlens without offsets", "cu_seqlens", np.zeros(0, int), fw.ShapeError),
            Row(
                "x of which most rows are in no sequence",
                "x",
                lambda: {"x": virtual(2**40, 4)},
                gives=np.ones((2, 4), np.float32),
            ),
            endless("cu_seqlens", x=np.broadcast_to(0, 2**50)),
        ],
    ),
    Subject(
        "cosine_top_k",
        {"queries": X, "corpus": Y, "k": 2},
        [
            *float_array("queries", X, least_axes=2, most_axes=2),
            *float_array("corpus", Y, least_axes=2, most_axes=2),
            *count("k", 2),
            *word("metric", "cosine"),
            *EVERYWHERE,
            *backend_option(),
            row("k of more than the corpus", "k", 4, fw.ShapeError),
            row("corpus without rows", "corpus", Y[:0], fw.ShapeError),
            row("corpus of other columns", "corpus", Y[:, :3], fw.ShapeError),
            row("corpus of 2**31 rows", "corpus", virtual(2**31, 4), fw.ShapeError),
            row("corpus of 2**31 empty rows", "corpus", EMPTY, fw.ShapeError),
            Row(
                "corpus of too many columns",
                "corpus",
                lambda: {"queries": virtual(1, 2**31), "corpus": virtual(2, 2**31)},
                fw.ShapeError,
            ),
            endless("queries", x=virtual(2**50, 4)),
        ],
    ),
]
