"""The ids of an index: the integers or strings by which the user identifies vectors."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from flashwasm.array_room import check_room
from flashwasm.errors import DTypeError, IndexRangeError, ShapeError
from flashwasm.integer_checks import integers
from flashwasm.validation import as_array, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]
    # An argument that contains ids.
    Ids: TypeAlias = ArrayLike | AbstractSet[int] | AbstractSet[str]

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
        array = self._checked(ids, "ids", count)
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

    def known(self, wanted: Ids) -> list[int]:
        """Return the positions of the ids of a filter. Ids that are not in the index are ignored.

        An array must not contain an id twice. A mask of zeros and ones is therefore refused.
        """
        if not isinstance(wanted, AbstractSet):
            array = self._checked(wanted, "filter")
            wanted = set(array.tolist())
            if len(wanted) < len(array):
                message = (
                    f"filter: expected a mask of booleans, or ids that each occur once, got "
                    f"{len(array)} ids of which {len(wanted)} are distinct"
                )
                raise ShapeError(message)
        return [self.positions[one] for one in wanted if one in self.positions]

    def chosen(self, wanted: Ids, positions: Array) -> Array:
        """Return the positions that a filter chooses: it is a mask of ``positions``, or ids."""
        mask = checked_mask(wanted, len(positions))
        if mask is None:
            return np.array(self.known(wanted), np.int64)
        # NumPy takes ten times as long to index by the mask itself.
        chosen: Array = positions[np.flatnonzero(mask)]
        return chosen

    def find(self, ids: Ids, *, once: bool = False) -> Array:
        """Return the positions of ids, or raise if one is not in the index.

        If ``once`` is True, also raise if an id is given twice.
        """
        array = self._checked(ids, "ids").tolist()
        seen: set[Any] = set()
        for one in array:
            if one not in self.positions:
                message = f"ids: {one!r} is not in the index"
                raise IndexRangeError(message)
            if once and one in seen:
                message = f"ids: {one!r} is given twice"
                raise ShapeError(message)
            seen.add(one)
        return np.fromiter(map(self.positions.__getitem__, array), np.int64, len(array))

    def free(self, positions: Array, ids: Array) -> None:
        """Remove the ids of some positions. After an interruption, the call can be repeated."""
        if not len(ids):
            return
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

    def _checked(self, ids: Ids, name: str, count: int | None = None) -> Array:
        """Return an argument as int64 ids, or as an array of str objects.

        Raise ShapeError unless there are ``count`` ids. A ``count`` of None allows any number.
        """
        listed: ArrayLike = [*ids] if isinstance(ids, AbstractSet) else ids
        array = as_array(listed, name)
        if array.ndim == 0:
            message = f"{name}: expected an array of integers or strings, got {type(ids).__name__}"
            raise DTypeError(message)
        if array.ndim != 1:
            message = f"{name}: expected shape (n,), got {array.shape}"
            raise ShapeError(message)
        if count is not None and len(array) != count:
            message = f"{name}: expected {count}, one for each vector, got {len(array)}"
            raise ShapeError(message)
        check_room(array.shape, np.int64)
        if array.size == 0:
            return _empty(self.kind or "int", 0)
        checked = _strings(listed, array, name) if _are_text(array) else _int64(listed, name)
        kind = _kind(checked)
        if self.kind and kind != self.kind:
            message = f"{name}: the ids of this index are {_NAMES[self.kind]}, got {_NAMES[kind]}"
            raise DTypeError(message)
        return checked


def checked_mask(wanted: Ids, count: int) -> Array | None:
    """Return a filter as an array of booleans, or None if it consists of ids."""
    if isinstance(wanted, AbstractSet):
        return None
    array = as_array(wanted, "filter")
    if array.dtype != np.bool_:
        return None
    if array.shape != (count,):
        message = f"filter: expected shape ({count},), got {array.shape}"
        raise ShapeError(message)
    return array


# The value that means "no id", for each type of ids.
_MISSING: dict[str, Any] = {"int": -1, "str": None}
_NAMES = {"int": "integers", "str": "strings"}


def _empty(kind: str, size: int) -> Array:
    """Return an array for ids, filled with the value that means "no id"."""
    return np.full(size, _MISSING[kind], np.int64 if kind == "int" else object)


def _kind(ids: Array) -> str:
    """Return the type of checked ids."""
    return "str" if ids.dtype == object else "int"


def _are_text(array: Array) -> bool:
    """Return True if an array contains strings."""
    if array.dtype == object:
        return all(isinstance(one, str) for one in array)
    return array.dtype.kind in "UT"


def _int64(ids: ArrayLike, name: str) -> Array:
    """Return ids as int64; raise if one is not an integer, or beyond the range of int64."""
    array = integers(ids, name, "integers or strings")
    for one in (int(array.min()), int(array.max())):
        if not -_MOST - 1 <= one <= _MOST:
            message = f"{name}: {shown(one)} exceeds the range of int64"
            raise ShapeError(message)
    return array.astype(np.int64)


def _strings(ids: ArrayLike, array: Array, name: str) -> Array:
    """Return ids as an array of str objects; raise if one is no string, or not valid Unicode."""
    if isinstance(ids, (list, tuple)):
        # NumPy turns the integers of a mixed list into strings.
        others = [one for one in ids if not isinstance(one, str)]
        if others:
            message = f"{name}: expected integers or strings, got {others[0]!r} among strings"
            raise DTypeError(message)
    strings = np.empty(len(array), object)
    strings[:] = array.tolist()
    try:
        "".join(strings).encode()
    except UnicodeEncodeError as error:
        message = f"{name}: expected text that UTF-8 can encode, got {error.object[error.start]!r}"
        raise ShapeError(message) from None
    return strings
