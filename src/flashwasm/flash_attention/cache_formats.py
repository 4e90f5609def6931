"""How a cache stores keys and values: the layouts of ``enum storage`` in wasm/abi.h."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.kernel_table import ATTENTION_PANEL, STORED_HALVES, STORED_INT8, STORED_PANELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_INT8_MAX = 127


class CacheArray(ABC):
    """Keys or values of a cache.

    Attributes
    ----------
    rows : numpy.ndarray, shape (batch, heads, capacity, columns)
        Where they lie as the kernel's strides have it; the numbers are in another order.
    scales : numpy.ndarray or None
        Shape (batch, heads, capacity): the factor of each row, where there is one.
    """

    kind: int
    rows: Array
    scales: Array | None = None

    @abstractmethod
    def write(self, at: Array, x: Array) -> None:
        """Store rows ``x``, shape (batch, heads, n, columns), as numbers ``at``."""

    @abstractmethod
    def read(self, at: Array) -> Array:
        """Return rows as float32."""

    @property
    def nbytes(self) -> int:
        """Bytes in linear memory."""
        scales = 0 if self.scales is None else self.scales.nbytes
        return math.prod(self.rows.strides[:1] + self.rows.shape[:1]) + scales


class Float16Rows(CacheArray):
    """Rows of float16."""

    kind = STORED_HALVES

    def __init__(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        self.rows = runtime.empty(shape, np.float16)

    def write(self, at: Array, x: Array) -> None:
        """Store rows."""
        self.rows[:, :, at] = x

    def read(self, at: Array) -> Array:
        """Return rows."""
        return self.rows[:, :, at].astype(np.float32)


class Float32Panels(CacheArray):
    """Rows of float32 in panels: see ``enum storage``."""

    kind = STORED_PANELS
    dtype: type = np.float32
    _pair = 1  # Rows, of values, or columns, of keys, that lie side by side.
    _key_columns = 1  # The columns of keys are padded to a multiple of so many.

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], *, values: bool) -> None:
        batch, heads, capacity, self._columns = shape
        multiple = ATTENTION_PANEL if values else self._key_columns
        padded = -(-self._columns // multiple) * multiple
        across, along = (padded, capacity) if values else (capacity, padded)
        tiles = (across // ATTENTION_PANEL, along // self._pair, ATTENTION_PANEL, self._pair)
        storage = runtime.empty((batch, heads, *tiles), self.dtype)
        storage[...] = 0
        # A view with axes (batch, heads, group of rows, row of it, group of columns, column of it).
        self._tiles = storage.transpose((0, 1, 3, 5, 2, 4) if values else (0, 1, 2, 4, 3, 5))
        self.rows = storage.reshape(batch, heads, capacity, padded)[..., : self._columns]

    def write(self, at: Array, x: Array) -> None:
        """Store rows."""
        groups, width = self._tiles.shape[-2:]
        padded = np.zeros((*x.shape[:-1], groups * width), self.dtype)
        padded[..., : self._columns] = x
        group, row = np.divmod(at, self._tiles.shape[3])
        self._tiles[:, :, group, row] = padded.reshape(*x.shape[:-1], groups, width)

    def read(self, at: Array) -> Array:
        """Return rows."""
        group, row = np.divmod(at, self._tiles.shape[3])
        tiles = self._tiles[:, :, group, row]
        return tiles.reshape(*tiles.shape[:3], -1)[..., : self._columns].astype(np.float32)


class Int8Panels(Float32Panels):
    """Rows as int8 with a factor each, symmetric about zero."""

    kind = STORED_INT8
    dtype = np.int8
    _pair = 2
    _key_columns = 8

    def __init__(self, runtime: Runtime, shape: tuple[int, ...], *, values: bool) -> None:
        super().__init__(runtime, shape, values=values)
        self.scales = runtime.empty(shape[:3])
        self.scales[...] = 0

    def write(self, at: Array, x: Array) -> None:
        """Store rows, rounded to the nearest of 255 steps."""
        assert self.scales is not None  # noqa: S101 - set above.
        greatest = np.abs(x).max(axis=-1, initial=0.0)
        scales = np.where(np.isfinite(greatest), greatest, np.nan).astype(np.float32) / _INT8_MAX
        usable = np.where(scales > 0, scales, 1.0)[..., None]
        with np.errstate(invalid="ignore"):
            steps = np.where(np.isnan(scales)[..., None], 0.0, np.rint(x / usable))
        super().write(at, np.clip(steps, -_INT8_MAX, _INT8_MAX))
        self.scales[:, :, at] = scales

    def read(self, at: Array) -> Array:
        """Return rows."""
        assert self.scales is not None  # noqa: S101 - set above.
        return super().read(at) * self.scales[:, :, at][..., None]


def stored_pair(
    runtime: Runtime, dtype: str, batch: int, heads: int, capacity: int, dims: tuple[int, int]
) -> tuple[CacheArray, CacheArray]:
    """Return storage for keys and for values."""
    rows = -(-capacity // ATTENTION_PANEL) * ATTENTION_PANEL
    keys, values = ((batch, heads, rows, columns) for columns in dims)
    if dtype == "float32":
        return Float32Panels(runtime, keys, values=False), Float32Panels(
            runtime, values, values=True
        )
    if dtype == "float16":
        return Float16Rows(runtime, keys), Float16Rows(runtime, values)
    return Int8Panels(runtime, keys, values=False), Int8Panels(runtime, values, values=True)


def check_range(x: Array, name: str, dtype: str) -> None:
    """Raise where a finite number is too large for the storage."""
    largest = float(np.finfo(np.float16).max)
    if dtype != "float16" or not x.size:
        return
    finite = np.abs(np.where(np.isfinite(x), x, 0.0))
    if float(finite.max()) > largest:
        message = f"{name}: expected magnitudes up to {largest:g}, float16's, got {finite.max():g}"
        raise ShapeError(message)
