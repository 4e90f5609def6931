"""The ids of an index: the integers or strings by which the user identifies vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, IndexRangeError, ShapeError
from flashwasm.validation import as_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

# The greatest integer id, that of int64.
_MOST = 2**63 - 1


class IdTable:
    """Ids by position, and positions by id. All ids are integers, or all are strings.

    Parameters
    ----------
    kind : {"int", "str", ""}, default ""
        Type of the ids; "" to use the type of the first id.

    Attributes
    ----------
    kind : {"int", "str", ""}
        Type of the ids; "" before the first id.
    next : int
        Id of the next vector that the user adds without an id.
    positions : dict
        Position of each id.
    """

    def __init__(self, kind: str = "") -> None:
        self.kind = kind
        self.next = 0
        self.positions: dict[Any, int] = {}
        # Ids by position. The last entry means "no vector". Position -1, which a search returns
        # where it found nothing, selects it.
        self._table: Array = _empty(kind or "int", 1)

    def __len__(self) -> int:
        return len(self.positions)

    def new(self, ids: ArrayLike | None, count: int) -> Array:
        """Return ids for ``count`` new vectors: the given ids, checked, or the next integers."""
        if ids is None:
            if self.kind == "str":
                message = "ids: the ids of this index are strings, so new vectors need ids too"
                raise ShapeError(message)
            if self.next + max(count, 1) - 1 > _MOST:
                message = f"ids: {count} integers from {self.next} on exceed the range of int64"
                raise ShapeError(message)
            return self.next + np.arange(count, dtype=np.int64)
        array = self._checked(ids, count)
        seen: set[Any] = set()
        for one in array.tolist():
            if one in seen or one in self.positions:
                where = "given twice" if one in seen else "in the index already"
                message = f"ids: {one!r} is {where}"
                raise ShapeError(message)
            seen.add(one)
        return array

    def assign(self, positions: Array, ids: Array) -> None:
        """Assign ids to the vectors at some positions, which have none."""
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
        # This single call is the last step. Ctrl-C cannot interrupt it, so all of these vectors get
        # their ids, or none.
        self.positions.update(zip(ids.tolist(), positions.tolist(), strict=True))

    def __contains__(self, one: object) -> bool:
        return one in self.positions

    def known(self, wanted: object) -> list[int]:
        """Return the positions of a set of ids. Ids that are not in the index are ignored."""
        if not isinstance(wanted, (set, frozenset)):
            message = f"filter: expected a set of ids, got {type(wanted).__name__}"
            raise DTypeError(message)
        return [self.positions[one] for one in wanted if one in self.positions]

    def find(self, ids: ArrayLike | set[int] | set[str]) -> Array:
        """Return the positions of ids, or raise if one is not in the index or is given twice."""
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
        """Remove the ids of some positions. After an interruption, the call can be repeated."""
        for one in ids.tolist():
            self.positions.pop(one, None)
        self._table[positions] = _MISSING[self.kind]

    def compacted(self, kept: Array) -> IdTable:
        """Return the table for the state after each vector at kept[i] has moved to position i."""
        table = IdTable()
        table.kind, table.next = self.kind, self.next
        ids = self._table[kept]
        table.positions = dict(zip(ids.tolist(), range(len(ids)), strict=True))
        table._table = np.append(ids, _empty(self.kind, 1))
        return table

    def ranked(self, ids: Array) -> IdTable:
        """Return the table with each id replaced by its index in ``ids``, ascending integers."""
        table = IdTable()
        own = np.fromiter(self.positions.keys(), np.int64, len(self))
        positions = np.fromiter(self.positions.values(), np.int64, len(self))
        table.assign(positions, np.searchsorted(ids, own))
        return table

    def at(self, positions: Array) -> Array:
        """Return the ids at some positions; -1 or None where a position is -1."""
        return self._table[positions]

    def _checked(self, ids: ArrayLike | set[int] | set[str], count: int | None = None) -> Array:
        """Return an argument as int64 ids, or as an array of str objects.

        Raise ShapeError unless there are ``count`` ids. A ``count`` of None allows any number.
        """
        listed: ArrayLike = [*ids] if isinstance(ids, (set, frozenset)) else ids
        array = as_array(listed, "ids")
        if array.ndim == 0:
            message = f"ids: expected an array of integers or strings, got {type(ids).__name__}"
            raise DTypeError(message)
        if array.dtype.kind == "U" and isinstance(listed, (list, tuple)):
            # NumPy would turn the integers of a mixed list into strings.
            others = [one for one in listed if not isinstance(one, str)]
            if others:
                message = f"ids: expected integers or strings, got {others[0]!r} among strings"
                raise DTypeError(message)
        if array.ndim != 1:
            message = f"ids: expected shape (n,), got {array.shape}"
            raise ShapeError(message)
        if count is not None and len(array) != count:
            message = f"ids: expected {count}, one for each vector, got {len(array)}"
            raise ShapeError(message)
        check_room(array.shape, np.int64)
        if array.size == 0:
            return _empty(self.kind or "int", 0)
        kind = _kind(array)
        if self.kind and kind != self.kind:
            message = f"ids: the ids of this index are {_NAMES[self.kind]}, got {_NAMES[kind]}"
            raise DTypeError(message)
        if kind == "str":
            return _checked_strings(array)
        if array.dtype.kind == "u" and int(array.max()) > _MOST:
            message = f"ids: {array.max()} exceeds the range of int64"
            raise ShapeError(message)
        return array.astype(np.int64)


# The value that means "no id", for each type of ids.
_MISSING: dict[str, Any] = {"int": -1, "str": None}
_NAMES = {"int": "integers", "str": "strings"}


def _empty(kind: str, size: int) -> Array:
    """Return an array for ids, filled with the value that means "no id"."""
    return np.full(size, _MISSING[kind], np.int64 if kind == "int" else object)


def _kind(array: Array) -> str:
    """Return "int" or "str" for the elements of an array; raise if they cannot be ids."""
    if array.dtype.kind in "iu":
        return "int"
    if array.dtype.kind in "UT":
        return "str"
    if array.dtype == object and all(isinstance(one, str) for one in array):
        return "str"
    message = f"ids: expected integers or strings, got {array.dtype}"
    raise DTypeError(message)


def _checked_strings(array: Array) -> Array:
    """Return strings as an array of str objects; raise if UTF-8 cannot encode one."""
    strings = np.empty(len(array), object)
    strings[:] = array.tolist()
    try:
        "".join(strings).encode()
    except UnicodeEncodeError as error:
        message = f"ids: expected text that UTF-8 can encode, got {error.object[error.start]!r}"
        raise ShapeError(message) from None
    return strings
