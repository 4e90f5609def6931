"""Files and tests found by the end of their names.

A database may have been recorded in another folder than the one that is asked about, so its paths
may be longer or shorter than those of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from flashwasm.errors import ShapeError

__all__ = ["position_by_end", "value_by_end"]

Value = TypeVar("Value")


def position_by_end(
    wanted: str, names: Sequence[str], separators: tuple[str, ...], kind: str
) -> int:
    """Return the position of the name that ``wanted`` means.

    An equal name comes first. Otherwise exactly one name must match: either the name ends with a
    separator and ``wanted``, or ``wanted`` ends with "/" and the name. For example, "src/lib.py"
    means "lib.py" if no other name matches.
    """
    if wanted in names:
        return names.index(wanted)
    ends = tuple(separator + wanted for separator in separators)
    found = [
        i for i, name in enumerate(names) if name.endswith(ends) or wanted.endswith(f"/{name}")
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(names[i] for i in found[:10])
        raise ShapeError(f"{wanted!r} may be {listed}; give more of its path")
    raise ShapeError(f"no {kind} {wanted!r} in the coverage database")


def value_by_end(nodeid: str, values: Mapping[str, Value]) -> Value | None:
    """Return the value of a test, found by its node id or else by the longest end of its path.

    A database that was recorded in the folder ``tests`` has ``test_a.py::test`` for
    ``tests/test_a.py::test``.
    """
    parts = nodeid.split("/")
    for start in range(len(parts)):
        found = values.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None
