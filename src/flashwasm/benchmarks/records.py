"""Dataclasses, read back from their fields in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["record_of"]

T = TypeVar("T")


def record_of(
    kind: type[T],
    document: Mapping[str, Any],
    inner: Mapping[tuple[type, str], type] | None = None,
) -> T:
    """Return a dataclass from its fields by name. None in a field of type float means NaN.

    Parameters
    ----------
    kind : type
        The dataclass.
    document : mapping of str
        The fields, from JSON. A field that is newer than the document keeps its default.
    inner : mapping of (type, str) to type, optional
        Dataclasses in fields of other dataclasses, by class and field. For a list, the class of an
        element.
    """
    values: dict[str, Any] = {}
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name not in document:
            continue
        value, lies_in = document[one.name], (inner or {}).get((kind, one.name))
        if lies_in is not None and isinstance(value, list):
            value = tuple(record_of(lies_in, element, inner) for element in value)
        elif lies_in is not None:
            value = record_of(lies_in, value, inner)
        elif value is None and one.type == "float":
            value = math.nan
        values[one.name] = value
    return kind(**values)
