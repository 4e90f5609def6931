"""Checks of arguments: shapes, dtypes and ranges of values.

Each function takes an argument and its name, and returns the argument in the form that the caller
needs. For a wrong argument it raises ShapeError or DTypeError. The message gives the argument's
name, the values that are accepted, and the value received.
"""

from __future__ import annotations

import math
import sys
import threading
from itertools import zip_longest
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from flashwasm.array_room import check_room, no_room
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.summaries import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Array = NDArray[Any]

# The type of a string, which a type checker may know as a literal: see `choice`.
Word = TypeVar("Word", bound=str)

_FLOAT32 = np.dtype(np.float32)
_FLOAT_SIZES = (2, 4, 8)
_REAL = (int, float, np.integer, np.floating)
_FLOAT32_MAX = float(np.finfo(np.float32).max)
INT32_MAX = 2**31 - 1
# Count of numbers to compare at once: timeouts and Ctrl-C are checked in between.
_MOST_AT_ONCE = 1 << 20
# Maximum number of characters of a value in a message.
_LONGEST_SHOWN = 200


def shown(value: object, text_of: Callable[[object], str] = repr) -> str:
    """Return a value as text for an error message, truncated if it is long."""
    try:
        text = text_of(value)
    except ValueError:  # Python does not print integers of more than 4,300 digits.
        text = "an integer of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return True if arrays of a dtype are accepted where floats are expected."""
    if dtype.kind == "f":
        return dtype.itemsize in _FLOAT_SIZES
    return dtype.name == "bfloat16"


def as_array(x: ArrayLike, name: str) -> Array:
    """Return ``x`` as an array; raise DTypeError if NumPy cannot make one.

    A masked array with masked elements raises DTypeError, because NumPy would drop the mask here,
    and the operation would silently use these elements.
    """
    # NumPy imports the module when it is first used, and another thread may be importing it at this
    # moment. Masked arrays exist only after the import.
    is_masked = getattr(sys.modules.get("numpy.ma"), "is_masked", None)
    if is_masked is not None and is_masked(x):
        message = f"{name}: expected an array without masked elements, got a masked array"
        raise DTypeError(message)
    try:
        return np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:  # PyTorch raises RuntimeError.
        message = f"{name}: expected an array, got {type(x).__name__} ({error})"
        raise DTypeError(message) from error


def floats(x: ArrayLike, name: str, ndim: int | None = None, at_least: int = 0) -> Array:
    """Return ``x`` as an array of floats with ``ndim`` axes, or with at least ``at_least`` axes."""
    array = x if type(x) is np.ndarray else as_array(x, name)
    if array.dtype is not _FLOAT32 and not is_float(array.dtype):
        message = (
            f"{name}: expected float32, float64, float16 or bfloat16, got {array.dtype} "
            f"of shape {array.shape}"
        )
        raise DTypeError(message)
    if array.ndim < at_least or (ndim is not None and array.ndim != ndim):
        axes = number_of(at_least if ndim is None else ndim, "axes")
        message = f"{name}: expected {'at least ' * (ndim is None)}{axes}, got shape {array.shape}"
        raise ShapeError(message)
    return array


def narrowed(array: Array) -> Array:
    """Return an array of floats as float32; numbers that are too large become infinite."""
    if array.dtype == _FLOAT32:
        return array
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return array.astype(_FLOAT32)


def shaped(x: ArrayLike, name: str, shape: tuple[int, ...], meaning: str) -> Array:
    """Return ``x`` as an array of floats that has exactly the given shape."""
    array = floats(x, name)
    if array.shape != shape:
        message = f"{name}: expected shape {shape} ({meaning}), got {array.shape}"
        raise ShapeError(message)
    return array


def integer(value: int, name: str) -> int:
    """Return ``value`` if it is an integer of Python or NumPy, but not True or False."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        message = f"{name}: expected an integer, got {shown(value)}"
        raise DTypeError(message)
    return int(value)


def axis_index(axis: int, ndim: int) -> int:
    """Return the number of an axis, counted from the first."""
    if not -ndim <= integer(axis, "axis") < ndim:
        message = f"axis: {shown(axis)} is out of range for an array of {number_of(ndim, 'axes')}"
        raise ShapeError(message)
    return int(axis) % ndim


def broadcast(shapes: dict[str, tuple[int, ...]], meaning: str = "shapes") -> tuple[int, ...]:
    """Return the shape to which the given shapes, listed by argument name, broadcast."""
    distinct = set(shapes.values())
    if len(distinct) == 1:
        return distinct.pop()
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        axes = zip_longest(*(shape[::-1] for shape in shapes.values()), fillvalue=1)
        lengths_found = [set(axis) - {1} for axis in axes]
        if all(len(found) <= 1 for found in lengths_found):
            # The shapes agree, but NumPy does not support so many elements.
            raise no_room(tuple([*found, 1][0] for found in lengths_found[::-1])) from None
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        message = f"{meaning} do not broadcast together: {listed}"
        raise ShapeError(message) from None


def lengths(shape: Any, name: str) -> tuple[int, ...]:
    """Return a shape as a tuple of integers, none of them negative."""
    try:
        sizes = (index(shape),) if np.ndim(shape) == 0 else tuple(index(n) for n in shape)
    except (TypeError, ValueError):
        message = f"{name}: expected an integer or integers, got {shown(shape)}"
        raise DTypeError(message) from None
    if min(sizes, default=0) < 0:
        message = f"{name}: expected integers of at least 0, got {shown(shape)}"
        raise ShapeError(message)
    return sizes


def plain_dtype(dtype: DTypeLike, name: str) -> np.dtype[Any]:
    """Return ``dtype`` as a NumPy dtype, if it contains no Python objects."""
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        message = f"{name}: expected a NumPy dtype, got {shown(dtype)} ({error})"
        raise DTypeError(message) from None
    if kind.hasobject:
        message = f"{name}: expected a dtype without Python objects, got {kind}"
        raise DTypeError(message)
    return kind


def checked_out(out: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Return ``out`` if it is None or can store a float32 result of the given shape."""
    if out is None:
        return None
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())
    if not isinstance(out, np.ndarray) or isinstance(out, masked):
        # The mask of a masked array would still hide elements of the result.
        message = f"out: expected a NumPy array, got {type(out).__name__}"
        raise DTypeError(message)
    if out.dtype is not _FLOAT32 and out.dtype != _FLOAT32:
        message = f"out: expected float32, got {out.dtype}"
        raise DTypeError(message)
    if out.shape != shape:
        message = f"out: expected shape {shape}, got {out.shape}"
        raise ShapeError(message)
    if not out.flags.writeable:
        message = "out: expected a writeable array, got a read-only one"
        raise ShapeError(message)
    if not out.flags.c_contiguous and _elements_overlap(out):
        message = f"out: expected elements that share no memory, got strides {out.strides}"
        raise ShapeError(message)
    return out


def _elements_overlap(x: Array) -> bool:
    """Return True if elements of a strided array may lie at the same address."""
    extent = x.itemsize
    for stride, size in sorted(zip(map(abs, x.strides), x.shape, strict=True)):
        if size > 1 and stride < extent:
            return x.size > 0
        extent += stride * max(size - 1, 0)
    return False


def choice(value: Word, name: str, choices: tuple[str, ...]) -> Word:
    """Return ``value`` if it is one of the choices."""
    if isinstance(value, str) and value in choices:
        # A subclass of str may have methods of its own, so return the choice itself.
        return value if type(value) is str else cast("Word", choices[choices.index(value)])
    message = f"{name}: expected one of {', '.join(map(repr, choices))}, got {shown(value)}"
    raise ShapeError(message) if isinstance(value, str) else DTypeError(message)


def positive_int(value: int, name: str, most: int | None = None) -> int:
    """Return ``value`` if it is an integer of at least one, and of at most ``most``."""
    if integer(value, name) < 1:
        message = f"{name}: expected at least 1, got {shown(value)}"
        raise ShapeError(message)
    if most is not None and value > most:
        message = f"{name}: expected at most {most}, got {shown(value)}"
        raise ShapeError(message)
    return int(value)


def flag(value: object, name: str) -> bool:
    """Return ``value`` if it is True or False, of Python or NumPy."""
    if not isinstance(value, (bool, np.bool_)):
        message = f"{name}: expected True or False, got {shown(value)}"
        raise DTypeError(message)
    return bool(value)


def finite_float(value: float, name: str) -> float:
    """Return ``value`` as a float if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, _REAL):
        message = f"{name}: expected a number, got {shown(value)}"
        raise DTypeError(message)
    number = _as_float(value)
    if not math.isfinite(number):
        message = f"{name}: expected a finite number, got {number}"
        raise ShapeError(message)
    return number


def _as_float(value: float) -> float:
    """Return a number as a float; an integer that is too large for a float becomes infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def kernel_float(value: float, name: str) -> float:
    """Return ``value`` as a float if it is finite in float32, the kernels' number format."""
    number = finite_float(value, name)
    if abs(number) > _FLOAT32_MAX:
        message = f"{name}: expected a number that is finite in float32, got {shown(value)}"
        raise ShapeError(message)
    return number


def seconds(value: float | None, name: str) -> float | None:
    """Return ``value`` as a positive number of seconds; None stays None, for no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, _REAL):
        message = f"{name}: expected seconds or None, got {shown(value)}"
        raise DTypeError(message)
    if not value > 0:
        message = f"{name}: expected more than 0 seconds, got {_as_float(value)}"
        raise ShapeError(message)
    # A lock cannot wait longer than this, which is some 290 years.
    return min(_as_float(value), threading.TIMEOUT_MAX)


def vectors(
    x: ArrayLike, name: str, dim: int, below: float, between: Callable[[], None] | None = None
) -> Array:
    """Return ``x`` as rows of ``dim`` floats of magnitude below ``below``; call ``between``."""
    array = floats(x, name)
    if array.ndim != 2 or array.shape[1] != dim:
        message = f"{name}: expected shape (n, {dim}), got {array.shape}"
        raise ShapeError(message)
    check_room(array.shape)
    step = max(_MOST_AT_ONCE // max(dim, 1), 1)
    for i in range(0, len(array) if dim else 0, step):
        if between is not None:
            between()
        some = array[i : i + step]
        # Comparisons with NaN are False, so with `not` an array that contains NaN fails the check.
        if not (some.max() < below and some.min() > -below):
            limit = f" of magnitude below {below:.3g}" * math.isfinite(below)
            raise ShapeError(f"{name}: expected finite numbers{limit}")
    return array
