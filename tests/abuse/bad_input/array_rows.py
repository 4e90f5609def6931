"""Rows for every array argument: other layouts, dtypes and containers.

An array of another layout has the same values as the plain one, so the result has the same bytes.
An array of another dtype, or an object that is not an array, is refused.
"""

import tempfile

import numpy as np
from option_rows import BEYOND_FLOATS
from subject import Row, row

import flashwasm as fw


class Subclass(np.ndarray):
    """A subclass that changes nothing."""


class Convertible:
    """Something that NumPy asks for an array."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.array(self.x, dtype)


def mapped(x, mode="r"):
    """Return an array mapped from a file that goes away with it."""
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(x).tobytes())
        file.flush()
        return np.memmap(file, x.dtype, mode, shape=x.shape)


def reversed_axes(x):
    """Return an equal array whose strides are all negative."""
    return np.flip(np.flip(x).copy())


def spread(x):
    """Return an equal array that is every other element of a larger one, along all axes."""
    larger = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    view = larger[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def unaligned(x):
    """Return an equal array whose address is no multiple of the size of an element."""
    view = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def read_only(x):
    """Return an equal array that cannot be written to."""
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def virtual(*shape, dtype=np.float32):
    """Return ones of any shape in the memory of a single one."""
    return np.broadcast_to(np.ones((), dtype), shape)


LAYOUTS = {
    "of big-endian numbers": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "in Fortran order": np.asfortranarray,
    "with negative strides": reversed_axes,
    "of every other element": spread,
    "at an odd address": unaligned,
    "read-only": read_only,
    "mapped from a file": mapped,
    "of a subclass": lambda x: x.copy().view(Subclass),
    "masked without a masked element": np.ma.array,
    "as nested lists": np.ndarray.tolist,
    "as a buffer": lambda x: memoryview(x.copy()),
    "as an object with __array__": Convertible,
}


def _layouts(name, x):
    return [row(f"{name} {case}", name, laid_out(x)) for case, laid_out in LAYOUTS.items()]


def _refused(name, x, dtypes, raises=fw.DTypeError):
    """Return rows of dtypes and of things that are no array."""
    masked = np.ma.array(x, mask=True)
    nested = x
    for _ in range(100):
        nested = [nested]
    things = {
        "of Python objects": x.astype(object),
        "of text": x.astype("U8"),
        "of bytes": x.astype("S8"),
        "of dates": np.zeros(x.shape, "datetime64[s]"),
        "of records": np.zeros(x.shape, [("a", np.float32)]),
        "of complex numbers": x.astype(np.complex64),
        "with masked elements": masked,
        "of uneven rows": [[1.0], [1.0, 2.0]],
        "nested a hundred deep": nested,
        "that is text": "odd",
        "that is bytes": b"odd",
        "that is an object": object(),
        "that is a dict": {"a": 1},
        "that is a generator": iter([1.0]),
        **{f"of {np.dtype(d)}": x.astype(d) for d in dtypes},
    }
    return [row(f"{name} {case}", name, thing, raises) for case, thing in things.items()]


def float_array(name, x, *, optional=False, most_axes=None, least_axes=0):
    """Return the rows of an argument that takes arrays of floats.

    Parameters
    ----------
    name : str
        The argument.
    x : numpy.ndarray of float32
        Its value in the plain call.
    optional : bool
        True if None stands for an argument that is left out.
    least_axes, most_axes : int
        Fewest and most axes that it may have. Arrays with one less and one more are refused.
    """
    rows = [
        *_layouts(name, x),
        row(f"{name} of float64", name, x.astype(np.float64)),
        *_refused(name, x, [np.int64, np.uint8, np.bool_, np.clongdouble, np.longdouble]),
    ]
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    if least_axes:
        fewer = np.ones((2,) * (least_axes - 1), np.float32)
        rows.append(row(f"{name} of {least_axes - 1} axes", name, fewer, fw.ShapeError))
    if most_axes is not None:
        more = x.reshape((1,) * (most_axes + 1 - x.ndim) + x.shape)
        rows.append(row(f"{name} of {most_axes + 1} axes", name, more, fw.ShapeError))
    return rows


def int_array(name, x, *, optional=False, outside=fw.IndexRangeError, most_axes=None):
    """Return the rows of an argument that takes arrays of integers.

    Parameters
    ----------
    name : str
        The argument.
    x : numpy.ndarray of int64
        Its value in the plain call, small and not negative.
    optional : bool
        True if None stands for an argument that is left out.
    outside : type or None
        Class of the error for integers that are out of any range. None if there is no range.
    most_axes : int
        Most axes that it may have. An array with one more is refused.
    """
    rows = _layouts(name, x)
    rows += [row(f"{name} of {d.__name__}", name, x.astype(d)) for d in (np.int8, np.uint64)]
    rows += _refused(name, x, [np.float32, np.bool_, np.float64])
    beyond = fw.ShapeError if outside is None else outside
    for n in (10**30, 2**64, 2**63, -(2**63) - 1, BEYOND_FLOATS):
        one_of_them = x.astype(object)
        one_of_them.flat[0] = n
        case = f"with {n:.3g} in a list" if n != BEYOND_FLOATS else "beyond any float in a list"
        rows.append(row(f"{name} {case}", name, one_of_them.tolist(), beyond))
    if not optional:
        rows.append(row(f"{name} of None", name, None, fw.DTypeError))
    if outside is not None:
        far = (2**31, 2**32, 2**63 - 1, -(2**31) - 1, -(2**63))
        rows += [row(f"{name} of {n}", name, np.full(x.shape, n), outside) for n in far]
        most = np.full(x.shape, 2**64 - 1, np.uint64)
        rows.append(row(f"{name} of 2**64 - 1", name, most, outside))
    if most_axes is not None:
        more = x.reshape((1,) * (most_axes + 1 - x.ndim) + x.shape)
        rows.append(row(f"{name} of {most_axes + 1} axes", name, more, fw.ShapeError))
    return rows


def _windows(shape):
    """Return a writeable array whose rows overlap."""
    strides = (4,) * len(shape)
    room = np.zeros(sum(shape) + 1, np.float32)
    return np.lib.stride_tricks.as_strided(room, shape, strides)


def out_array(shape):
    """Return the rows of ``out``, of a shape with at least two axes longer than one."""
    zeros = np.zeros(shape, np.float32)

    def fresh(make):
        return lambda: {"out": make(zeros)}

    layouts = {
        **{name: LAYOUTS[name] for name in LAYOUTS if name.split()[0] in {"in", "with", "at"}},
        "of every other element": spread,
        "mapped from a file": lambda x: mapped(x, "r+"),
        "of a subclass": lambda x: x.copy().view(Subclass),
        "in place of a new array": np.copy,
    }
    wrong = {
        "of float64": (np.zeros(shape), fw.DTypeError),
        "of integers": (np.zeros(shape, np.int32), fw.DTypeError),
        "of Python objects": (np.zeros(shape, object), fw.DTypeError),
        "of big-endian numbers": (np.zeros(shape, ">f4"), fw.DTypeError),
        "that is a list": (zeros.tolist(), fw.DTypeError),
        "that is text": ("odd", fw.DTypeError),
        "that is a scalar": (np.float32(0), fw.DTypeError),
        "masked": (np.ma.array(zeros, mask=True), fw.DTypeError),
        "masked without a masked element": (np.ma.array(zeros), fw.DTypeError),
        "with one more axis": (zeros[None], fw.ShapeError),
        "with one axis less": (zeros[0], fw.ShapeError),
        "without elements": (zeros[:0], fw.ShapeError),
        "of an enormous shape": (virtual(2**40, 2), fw.ShapeError),
        "read-only": (read_only(zeros), fw.ShapeError),
        "mapped read-only": (mapped(zeros), fw.ShapeError),
        "of one element that repeats": (
            np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, (0,) * len(shape)),
            fw.ShapeError,
        ),
        "of rows that overlap": (_windows(shape), fw.ShapeError),
    }
    return [
        *(Row(f"out {case}", "out", fresh(make)) for case, make in layouts.items()),
        *(row(f"out {case}", "out", value, error) for case, (value, error) in wrong.items()),
    ]


def overlapping(name, x, shape):
    """Return rows in which ``out`` and an operand lie in the same memory, moved by some elements.

    Parameters
    ----------
    name : str
        The operand.
    x : numpy.ndarray of float32
        Its value in the plain call.
    shape : tuple of int
        Shape of the result.
    """
    size = int(np.prod(shape))

    def moved(by, backwards):
        def given():
            room = np.zeros(max(x.size, size) + by, np.float32)
            operand = room[: x.size] if backwards else room[by : by + x.size]
            operand[:] = x.ravel()
            out = room[by : by + size] if backwards else room[:size]
            return {name: operand.reshape(x.shape), "out": out.reshape(shape)}

        return given

    return [
        Row(f"out that begins {by} elements {where} {name}", "out", moved(by, backwards))
        for by in (0, 1, 3)
        for where, backwards in (("after", True), ("before", False))
    ]
