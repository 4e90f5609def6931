"""Rows for every option of one kind: counts, numbers, flags, words, runtimes, timeouts."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
from subject import Row, row, unnamed

import flashwasm as fw

# Beyond all floats, and of more digits than Python writes out: both raise errors of their own.
BEYOND_FLOATS = 10**5000


def count(name, good, *, big=fw.ShapeError, zero=fw.ShapeError, optional=False):
    """Return the rows of an option that takes a positive integer.

    Parameters
    ----------
    name : str
        The option.
    good : int
        Its value in the plain call.
    big : type or None
        Class of the error for numbers that are too large; None if they change nothing.
    zero : type or None
        Class of the error for 0, or None.
    optional : bool
        True if None stands for an option that is left out.
    """
    wrong = [1.0, "1", b"1", True, np.True_, float("nan"), [1], (1,), {}, np.array(good), 1j]
    rows = [
        *(row(f"{name} of {n}", name, n, fw.ShapeError) for n in (-1, -(2**31), -(2**63))),
        row(f"{name} of 0", name, 0, zero),
        *(row(f"{name} of {n!r:.20}", name, n, fw.DTypeError) for n in wrong),
        row(f"{name} of int64", name, np.int64(good)),
        row(f"{name} of uint32", name, np.uint32(good)),
    ]
    for n in (2**31, 2**32 + good, 2**63, np.uint64(2**63), 10**30, BEYOND_FLOATS):
        error = None if big is None else big
        unnamed = error is fw.OutOfMemoryError
        case = f"{name} of {n:.3g}" if n != BEYOND_FLOATS else f"{name} beyond any float"
        rows.append(Row(case, name, lambda n=n: {name: n}, error, not unnamed))
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    return rows


def number(name, good, *, optional=False, least=None, huge=fw.ShapeError):
    """Return the rows of an option that takes a finite number.

    Parameters
    ----------
    name : str
        The option.
    good : float
        Its value in the plain call.
    optional : bool
        True if None stands for an option that is left out.
    least : float
        Number that the option may not go below.
    huge : type or None
        Class of the error for a number that is finite in float64 only; None if it is taken.
    """
    wrong = ["1", b"1", True, np.True_, 1j, [1.0], np.array(1.0), {}, Decimal(1), Fraction(1)]
    rows = [
        *(row(f"{name} of {n}", name, n, fw.ShapeError) for n in (np.nan, np.inf, -np.inf)),
        row(f"{name} of float32 NaN", name, np.float32(np.nan), fw.ShapeError),
        row(f"{name} beyond any float", name, BEYOND_FLOATS, fw.ShapeError),
        row(f"{name} below any float", name, -BEYOND_FLOATS, fw.ShapeError),
        *(row(f"{name} of {n!r:.20}", name, n, fw.DTypeError) for n in wrong),
        row(f"{name} of float64", name, np.float64(good)),
    ]
    if huge is not None:
        rows.append(row(f"{name} of 1e300", name, 1e300, huge))
    if least is not None:
        rows.append(row(f"{name} below {least}", name, np.nextafter(least, -1), fw.ShapeError))
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    return rows


def flag(name, *, good=False, optional=False):
    """Return the rows of an option that is True or False."""
    wrong = ["no", "False", "", b"no", 0, 1, 1.0, [], [False], np.array(good), np.int64(1)]
    rows = [row(f"{name} of {value!r}", name, value, fw.DTypeError) for value in wrong]
    rows.append(row(f"{name} of NumPy's bool", name, np.bool_(good)))
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    return rows


def word(name, good, *, optional=False):
    """Return the rows of an option that is one of some words."""
    wrong = [b"odd", 1, 1.5, True, [good], {good}, {}, np.array([good, good]), object]
    rows = [
        *(row(f"{name} of {value!r}", name, value, fw.ShapeError) for value in ("odd", "", "\0")),
        row(f"{name} with a space", name, f"{good} ", fw.ShapeError),
        *(row(f"{name} of {value!r:.30}", name, value, fw.DTypeError) for value in wrong),
        row(f"{name} of NumPy's text", name, np.str_(good)),
    ]
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    return rows


def axis(axes):
    """Return the rows of ``axis`` of an array that has so many axes, the last by default."""
    outside = (axes, -axes - 1, 2**31, -(2**31) - 1, 2**32 - 1, 2**63, -(2**63), 10**30)
    wrong = [1.0, "1", None, True, [0], (0,), np.array(0), float("nan")]
    return [
        *(row(f"axis of {n}", "axis", n, fw.ShapeError) for n in outside),
        row("axis beyond any float", "axis", BEYOND_FLOATS, fw.ShapeError),
        *(row(f"axis of {n!r}", "axis", n, fw.DTypeError) for n in wrong),
        row("axis of int64", "axis", np.int64(axes - 1)),
    ]


def backend_option():
    """Return the rows of ``backend`` of an operation."""
    return word("backend", "wasm-simd", optional=True)


def runtime_option():
    """Return the rows of ``runtime``."""
    wrong = ["relaxed", 1, True, object(), fw.Runtime, {}]
    closed = fw.Runtime(threads=1)
    closed.close()
    return [
        *(row(f"runtime of {value!r:.30}", "runtime", value, fw.DTypeError) for value in wrong),
        unnamed("runtime that is closed", "runtime", closed, fw.ClosedError),
    ]


def timeout_option(*, launches=True):
    """Return the rows of ``timeout``; ``launches`` is False if the plain call runs no kernel."""
    wrong = ["1", True, [1], np.array(1.0), {}, 1j, Decimal(1)]
    rows = [
        *(row(f"timeout of {n}", "timeout", n, fw.ShapeError) for n in (0, -1, -np.inf, np.nan)),
        row("timeout below any float", "timeout", -BEYOND_FLOATS, fw.ShapeError),
        *(row(f"timeout of {n!r}", "timeout", n, fw.DTypeError) for n in wrong),
        *(row(f"timeout of {n!r}", "timeout", n) for n in (np.inf, 1e300)),
        row("timeout beyond any float", "timeout", BEYOND_FLOATS),
        row("timeout of float32", "timeout", np.float32(1e9)),
    ]
    if launches:
        short = {"timeout": 1e-9}
        rows.append(
            Row(
                "timeout of a nanosecond",
                "timeout",
                lambda: short,
                fw.DeadlineExceeded,
                named=False,
            )
        )
    return rows


def path_option(name, *, read=True):
    """Return the rows of an argument that is the path of a file to read or to write."""
    wrong = [1, 1.5, None, True, [], {}, object()]
    rows = [
        *(row(f"{name} of {value!r:.30}", name, value, fw.DTypeError) for value in wrong),
        row(f"{name} with a zero byte", name, "a\0b", fw.ShapeError),
        row(f"{name} of half a character", name, "\ud800", fw.ShapeError),
        unnamed(f"{name} of a folder", name, ".", OSError),
        unnamed(f"{name} of a long name", name, "x" * 5000, OSError),
    ]
    if read:
        rows.append(unnamed(f"{name} of no file", name, "absent", OSError))
    return rows
