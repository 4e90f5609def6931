"""Arrays in the linear memory of a runtime."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import numpy as np

from flashwasm.errors import ClosedError
from flashwasm.runtime.copies import copy_in_pieces
from flashwasm.runtime.deadline import checker
from flashwasm.validation import as_array, lengths, plain_dtype

if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from flashwasm.runtime.arena import Arena

    Array = NDArray[Any]
    # Type of an array's elements, which a type checker infers from the requested dtype.
    Scalar = TypeVar("Scalar", bound=np.generic)
    DType: TypeAlias = type[Scalar] | np.dtype[Scalar]


class ResidentArrays:
    """Base class of `Runtime`: the arrays that users create in its linear memory."""

    arena: Arena
    lock: RLock
    timeout: float | None
    cancellations: int
    # Time spent on copies.
    copy_seconds: float
    # Reason why the runtime is closed; empty while it is open.
    closed_because: str

    def check_open(self) -> None:
        """Raise ClosedError if the runtime is closed."""
        if self.closed_because:
            raise ClosedError(self.closed_because)

    @overload
    def empty(self, shape: int | Sequence[int]) -> NDArray[np.float32]: ...

    @overload
    def empty(self, shape: int | Sequence[int], dtype: DType[Scalar]) -> NDArray[Scalar]: ...

    @overload
    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> Array: ...

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Return a new, uninitialised array in linear memory (a resident array).

        Operations read and write such arrays without a copy. The memory is released when the array
        and all its views are deleted. They stay readable after ``close``.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the array.
        dtype : dtype, default float32
            Dtype of the array. It must not contain Python objects.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        kind, sizes = plain_dtype(dtype, "dtype"), lengths(shape, "shape")
        with self.lock:
            self.check_open()
            return self.arena.array(sizes, kind)[0]

    @overload
    def zeros(self, shape: int | Sequence[int]) -> NDArray[np.float32]: ...

    @overload
    def zeros(self, shape: int | Sequence[int], dtype: DType[Scalar]) -> NDArray[Scalar]: ...

    @overload
    def zeros(self, shape: int | Sequence[int], dtype: DTypeLike) -> Array: ...

    def zeros(self, shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Return a new array of zeros in linear memory.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the array.
        dtype : dtype, default float32
            Dtype of the array, as for `empty`.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        array = self.empty(shape, dtype)
        self.copy(array, np.zeros((), array.dtype), checker(self, None, "zeros"))
        return array

    @overload
    def asarray(self, a: NDArray[Scalar], dtype: None = None) -> NDArray[Scalar]: ...

    @overload
    def asarray(self, a: ArrayLike, dtype: DType[Scalar]) -> NDArray[Scalar]: ...

    @overload
    def asarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> Array: ...

    def asarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> Array:
        """Return ``a`` if it already lies in linear memory, else a copy of it there.

        Parameters
        ----------
        a : array_like
            Array to copy.
        dtype : dtype, optional
            Dtype of the result. None means the dtype of ``a``.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        self.check_open()
        source = as_array(a, "a")
        kind = plain_dtype(source.dtype, "a") if dtype is None else plain_dtype(dtype, "dtype")
        if source.dtype == kind and self.holds(source):
            return source
        check = checker(self, None, "asarray")
        copy = self.empty(source.shape, kind)
        self.copy(copy, source, check)
        return copy

    def holds(self, x: Array) -> bool:
        """Return True if an array lies in this runtime's linear memory.

        Parameters
        ----------
        x : numpy.ndarray
            The array.
        """
        return isinstance(x, np.ndarray) and self.arena.offset_of(x) is not None

    def copy(self, target: Array, source: Array, between: Callable[[], None] | None = None) -> None:
        """Copy source to target, between linear memory and NumPy's memory, and record the time.

        Parameters
        ----------
        target, source : numpy.ndarray
            As in `copy_in_pieces`.
        between : callable, optional
            As in `copy_in_pieces`.
        """
        start = perf_counter()
        try:
            copy_in_pieces(target, source, between)
        finally:
            self.copy_seconds += perf_counter() - start
