"""Bad input of the runtime itself, and of the functions that report the host's capabilities."""

import numpy as np
from array_rows import LAYOUTS, virtual
from option_rows import count, flag, timeout_option, word
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from sample_arrays import normal

X = normal(3, 4)


def made(_, **given):
    """Return the sizes of a new runtime."""
    with fw.Runtime(**{"threads": 1, **given}) as runtime:
        return runtime.threads, runtime.variant


def asarray(rt, a, **given):
    """Return a copy of a resident array."""
    return np.array(rt.asarray(a, **given))


def empty(rt, shape, **given):
    """Return the shape and the dtype of a resident array."""
    found = rt.empty(shape, **given)
    return found.shape, str(found.dtype)


def zeros(rt, shape, **given):
    """Return a copy of a resident array of zeros."""
    return np.array(rt.zeros(shape, **given))


def closed(_, **given):
    """Return what a runtime says after it was closed."""
    runtime = fw.Runtime(threads=1)
    try:
        runtime.close(**given)
        return runtime.closed
    finally:
        runtime.close()


def dtype_option():
    """Return the rows of ``dtype``."""
    wrong = ["float31", "odd", object, "O", [("a", object)], 1.5, X, b"\xff"]
    return [row(f"dtype of {value!r:.30}", "dtype", value, fw.DTypeError) for value in wrong]


def shape_and_dtype():
    """Return the rows of the arguments of a new array."""
    return [
        *dtype_option(),
        *(
            row(f"shape of {value!r}", "shape", value, fw.DTypeError)
            for value in ("ab", 1.5, None, (1, 1.5), {}, (None,), [[1]], object(), b"a")
        ),
        row("shape of -1", "shape", -1, fw.ShapeError),
        row("shape with -1", "shape", (2, -1), fw.ShapeError),
        row("shape of 65 axes", "shape", (1,) * 65, fw.ShapeError),
        row("shape of empty rows without end", "shape", (2**62, 2**62, 0), fw.ShapeError),
        *(
            unnamed(f"shape of {n:.3g}", "shape", n, fw.OutOfMemoryError)
            for n in (2**31, 2**63, 10**30)
        ),
        row("shape as an array", "shape", np.array([3, 4])),
        row("shape of int64", "shape", (np.int64(3), np.uint8(4))),
    ]


SUBJECTS = [
    Subject(
        "Runtime",
        {"threads": 1},
        [
            *count("threads", 1, optional=True),
            *word("variant", "auto"),
            *word("backend", "wasm-simd"),
            row("backend native", "backend", "native"),
            *flag("deterministic"),
            Row(
                "deterministic on native",
                "deterministic",
                lambda: {"deterministic": True, "backend": "native"},
                fw.CapabilityError,
            ),
            *count("max_memory", 1 << 27, big=None, zero=fw.ShapeError, optional=True),
            *(
                row(f"max_memory of {n}", "max_memory", n, fw.OutOfMemoryError)
                for n in (1, 1000, 1 << 16, 1 << 20)
            ),
            *timeout_option(launches=False),
        ],
        made,
        once=True,
    ),
    Subject(
        "Runtime.empty",
        {"shape": (3, 4)},
        shape_and_dtype(),
        empty,
    ),
    Subject(
        "Runtime.zeros",
        {"shape": (3, 4)},
        shape_and_dtype(),
        zeros,
    ),
    Subject(
        "Runtime.asarray",
        {"a": X},
        [
            *(
                row(f"a {case}", "a", make(X))
                for case, make in LAYOUTS.items()
                if case not in {"of big-endian numbers", "as nested lists"}
            ),
            row("a of objects", "a", X.astype(object), fw.DTypeError),
            row("a of uneven rows", "a", [[1], [1, 2]], fw.DTypeError),
            row("a with masked elements", "a", np.ma.array(X, mask=True), fw.DTypeError),
            row("a of None", "a", None, fw.DTypeError),
            row("a that is an object", "a", object(), fw.DTypeError),
            unnamed("a without end", "a", virtual(2**50), fw.OutOfMemoryError),
            *dtype_option(),
        ],
        asarray,
    ),
    Subject(
        "Runtime.holds",
        {"x": X},
        [
            *(row(f"x {case}", "x", make(X)) for case, make in LAYOUTS.items()),
            *(row(f"x of {value!r}", "x", value) for value in (None, 1, "odd", [1.0], {})),
        ],
        lambda rt, x: rt.holds(x),
    ),
    Subject("Runtime.close", {}, flag("cancel"), closed, once=True),
    Subject(
        "capabilities",
        {},
        flag("measure"),
        lambda _, **given: fw.capabilities(**given).supported,
        once=True,
    ),
]
