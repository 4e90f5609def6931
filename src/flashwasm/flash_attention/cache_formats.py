"""The formats in which a cache stores keys and values: ``enum storage`` of wasm/abi.h."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.kernel_table import ATTENTION_PANEL, STORED_HALVES, STORED_INT8, STORED_PANELS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_INT8_MAX = 127


class CacheArray(ABC):
    """The keys of a cache, or its values, as a resident array.

    Attributes
    ----------
    kind : int
        Member of ``enum storage``.
    rows : numpy.ndarray, shape (batch, heads, capacity, columns)
        The array, with the strides that the kernel expects. A panel format stores the numbers in an
        order that strides cannot describe, so use `read` to get them in order.
    scales : numpy.ndarray, shape (batch, heads, capacity), or None
        Factor of each row, if the format has factors.
    """

    kind: int
    rows: Array
    scales: Array | None = None

    @abstractmethod
    def write(self, at: Array, x: Array) -> None:
        """Store rows.

        Parameters
        ----------
        at : numpy.ndarray of int, shape (n,)
            Positions of the rows.
        x : numpy.ndarray of float32, shape (batch, heads, n, columns)
            The rows.
        """

    @abstractmethod
    def read(self, at: Array) -> Array:
        """Return the rows at some positions, as float32."""

    @abstractmethod
    def copy_from(self, other: Self, count: int) -> None:
        """Store the first ``count`` rows of an array of the same format and shape."""

    @property
    def nbytes(self) -> int:
        """Bytes of linear memory, including scales and padding."""
        scales = 0 if self.scales is None else self.scales.nbytes
        return math.prod(self.rows.strides[:1] + self.rows.shape[:1]) + scales


class Float32Panels(CacheArray):
    """Rows of float32 in panels: blocks in the order in which the kernel multiplies them.

    Parameters
    ----------
    runtime : Runtime
        Runtime in whose linear memory the panels lie.
    shape : tuple of int
        (batch, heads, capacity, columns), with a capacity that is a multiple of the panel.
    values : bool
        True for values, whose panels consist of columns. The panels of keys consist of rows.
    """

    kind = STORED_PANELS
    dtype: type[np.generic] = np.float32
    # Number of rows of values, or of columns of keys, that lie side by side.
    _pair = 1
    # The columns of keys are padded to a multiple of this.
    _key_columns = 1

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], *, values: bool) -> None:
        batch, heads, capacity, self._columns = shape
        multiple = ATTENTION_PANEL if values else self._key_columns
        padded = math.ceil(self._columns / multiple) * multiple
        across, along = (padded, capacity) if values else (capacity, padded)
        tiles = (across // ATTENTION_PANEL, along // self._pair, ATTENTION_PANEL, self._pair)
        storage: Array = runtime.empty((batch, heads, *tiles), self.dtype)
        storage[...] = 0
        # A view whose axes are (batch, heads, group of rows, row in its group, group of columns,
        # column in its group).
        self._tiles = storage.transpose((0, 1, 3, 5, 2, 4) if values else (0, 1, 2, 4, 3, 5))
        self.rows = storage.reshape(batch, heads, capacity, padded)[..., : self._columns]

    def write(self, at: Array, x: Array) -> None:
        """Store rows, padded with zeros."""
        groups, width = self._tiles.shape[-2:]
        padded = np.zeros((*x.shape[:-1], groups * width), self.dtype)
        padded[..., : self._columns] = x
        group, row = np.divmod(at, self._tiles.shape[3])
        self._tiles[:, :, group, row] = padded.reshape(*x.shape[:-1], groups, width)

    def read(self, at: Array) -> Array:
        """Return the rows at some positions, as float32."""
        group, row = np.divmod(at, self._tiles.shape[3])
        tiles = self._tiles[:, :, group, row]
        groups, width = tiles.shape[3:]
        return tiles.reshape(*tiles.shape[:3], groups * width)[..., : self._columns].astype(
            np.float32
        )

    def copy_from(self, other: Self, count: int) -> None:
        """Store the first ``count`` rows of an array of the same format and shape."""
        groups = math.ceil(count / self._tiles.shape[3])
        self._tiles[:, :, :groups] = other._tiles[:, :, :groups]
        if self.scales is not None and other.scales is not None:
            self.scales[:, :, :count] = other.scales[:, :, :count]


class Float16Panels(Float32Panels):
    """Rows in panels, rounded to float16."""

    kind = STORED_HALVES
    dtype = np.float16


class Int8Panels(Float32Panels):
    """Rows of int8 in panels, each row with a factor.

    A row is stored as round(127 x / greatest), where greatest is its greatest magnitude, and its
    factor is greatest / 127. A row that is not finite has the factor NaN.
    """

    kind = STORED_INT8
    dtype = np.int8
    scales: Array
    _pair = 2
    _key_columns = 8

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], *, values: bool) -> None:
        super().__init__(runtime, shape, values=values)
        self.scales = runtime.empty(shape[:3])
        self.scales[...] = 0

    def write(self, at: Array, x: Array) -> None:
        """Store rows, rounded to the nearest of 255 steps."""
        greatest = np.abs(x).max(axis=-1, initial=0.0)
        scales = np.where(np.isfinite(greatest), greatest, np.nan).astype(np.float32) / _INT8_MAX
        usable = np.where(scales > 0, scales, 1.0)[..., None]
        with np.errstate(invalid="ignore"):
            steps = np.where(np.isnan(scales)[..., None], 0.0, np.rint(x / usable))
        super().write(at, np.clip(steps, -_INT8_MAX, _INT8_MAX))
        self.scales[:, :, at] = scales

    def read(self, at: Array) -> Array:
        """Return the rows at some positions, times their factors."""
        return super().read(at) * self.scales[:, :, at][..., None]


_FORMATS = {"float32": Float32Panels, "float16": Float16Panels, "int8": Int8Panels}


def cache_arrays(
    runtime: Runtime, dtype: str, batch: int, heads: int, capacity: int, dims: tuple[int, int]
) -> tuple[CacheArray, CacheArray]:
    """Return the arrays for the keys and for the values of a cache."""
    rows = math.ceil(capacity / ATTENTION_PANEL) * ATTENTION_PANEL
    keys, values = ((batch, heads, rows, columns) for columns in dims)
    panels = _FORMATS[dtype]
    return panels(runtime, keys, values=False), panels(runtime, values, values=True)
