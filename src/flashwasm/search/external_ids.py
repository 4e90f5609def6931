"""The ids of an index: what the user calls the vector at a position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import DTypeError, IndexRangeError, ShapeError
from flashwasm.validation import as_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_MOST = 2**63 - 1


class IdTable:
    """Ids by position and positions by id; all of them integers, or all of them strings.

    Attributes
    ----------
    kind : {"int", "str", ""}
        Which; "" before the first.
    next : int
        The integer that the next vector without an id is given.
    positions : dict
        Positions by id.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.next = 0
        self.positions: dict[Any, int] = {}
        # By position; the last is what a search names where it found nothing.
        self._table: Array = np.full(1, -1, np.int64)

    def __len__(self) -> int:
        return len(self.positions)

    def new(self, ids: ArrayLike | None, count: int) -> Array:
        """Return ids for vectors to be added, checked against each other and those there are."""
        if ids is None:
            if self.kind == "str":
                message = "ids: the ids of this index are strings, so new vectors need theirs"
                raise ShapeError(message)
            if self.next + max(count, 1) - 1 > _MOST:
                message = f"ids: {count} integers from {self.next} on leave the range of int64"
                raise ShapeError(message)
            return self.next + np.arange(count, dtype=np.int64)
        array = self._checked(ids)
        if len(array) != count:
            message = f"ids: expected {count}, one a vector, got {len(array)}"
            raise ShapeError(message)
        seen: set[Any] = set()
        for one in array.tolist():
            if one in seen or one in self.positions:
                where = "given twice" if one in seen else "in the index already"
                message = f"ids: {one!r} is {where}"
                raise ShapeError(message)
            seen.add(one)
        return array

    def assign(self, positions: Array, ids: Array) -> None:
        """Name the vectors at positions that have no name."""
        if not len(ids):
            return
        if not self.kind:
            self.kind = _kind(ids)
            self._table = _empty(self.kind, 1)
        needed = int(positions.max()) + 2
        if needed > len(self._table):
            table = _empty(self.kind, max(needed, len(self._table) * 3 // 2))
            table[: len(self._table)] = self._table
            self._table = table
        self._table[positions] = ids
        if self.kind == "int":
            self.next = max(self.next, int(ids.max()) + 1)
        # Last, and at once: an interruption leaves all of them named or none.
        self.positions.update(zip(ids.tolist(), positions.tolist(), strict=True))

    def __contains__(self, one: object) -> bool:
        return one in self.positions

    def known(self, wanted: object) -> list[int]:
        """Return the positions of those of a set of ids that are in the index."""
        if not isinstance(wanted, (set, frozenset)):
            message = f"filter: expected a set of ids, got {type(wanted).__name__}"
            raise DTypeError(message)
        return [self.positions[one] for one in wanted if one in self.positions]

    def find(self, ids: ArrayLike) -> Array:
        """Return the positions of ids that are in the index, each given once."""
        array = self._checked(ids).tolist()
        found = {}
        for one in array:
            if one not in self.positions:
                message = f"ids: {one!r} is not in the index"
                raise IndexRangeError(message)
            if one in found:
                message = f"ids: {one!r} is given twice"
                raise ShapeError(message)
            found[one] = self.positions[one]
        return np.fromiter(found.values(), np.int64, len(found))

    def free(self, positions: Array, ids: Array) -> None:
        """Forget the names of positions; those that are forgotten already are passed over."""
        for one in ids.tolist():
            self.positions.pop(one, None)
        self._table[positions] = _MISSING[self.kind]

    def compacted(self, kept: Array) -> IdTable:
        """Return the table for vectors of which the one at kept[i] is at i, without others."""
        table = IdTable()
        table.kind, table.next = self.kind, self.next
        ids = self._table[kept]
        table.positions = dict(zip(ids.tolist(), range(len(ids)), strict=True))
        table._table = np.append(ids, _empty(self.kind, 1))
        return table

    def at(self, positions: Array) -> Array:
        """Return the ids at positions: -1 or None where a position is -1."""
        return self._table[positions]

    def _checked(self, ids: ArrayLike) -> Array:
        """Return ids as int64, or as an array of str objects."""
        array = as_array(list(ids) if isinstance(ids, (set, frozenset)) else ids, "ids")
        if array.ndim != 1:
            message = f"ids: expected shape (n,), got {array.shape}"
            raise ShapeError(message)
        if array.size == 0:
            return _empty(self.kind or "int", 0)
        kind = _kind(array)
        if self.kind and kind != self.kind:
            message = f"ids: the ids of this index are {_NAMES[self.kind]}, got {_NAMES[kind]}"
            raise DTypeError(message)
        if kind == "str":
            return _checked_strings(array)
        if array.dtype.kind == "u" and int(array.max()) > _MOST:
            message = f"ids: {array.max()} leaves the range of int64"
            raise ShapeError(message)
        return array.astype(np.int64)


_MISSING: dict[str, Any] = {"int": -1, "str": None}
_NAMES = {"int": "integers", "str": "strings"}


def _empty(kind: str, size: int) -> Array:
    return np.full(size, _MISSING[kind], np.int64 if kind == "int" else object)


def _kind(array: Array) -> str:
    """Return what an array's elements are, or raise where they cannot be ids."""
    if array.dtype.kind in "iu":
        return "int"
    if array.dtype.kind in "UT":
        return "str"
    if array.dtype == object and all(isinstance(one, str) for one in array):
        return "str"
    message = f"ids: expected integers or strings, got {array.dtype}"
    raise DTypeError(message)


def _checked_strings(array: Array) -> Array:
    strings = np.empty(len(array), object)
    strings[:] = array.tolist()
    try:
        "".join(strings).encode()
    except UnicodeEncodeError as error:
        message = f"ids: expected text that UTF-8 has, got {error.object[error.start]!r}"
        raise ShapeError(message) from None
    return strings
