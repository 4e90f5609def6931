"""Checks of arguments that are texts, or objects of the package's own classes."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, cast

import numpy as np

from flashwasm.errors import DTypeError
from flashwasm.validation import Word, choice


def checked_text(value: str, name: str) -> str:
    """Return ``value`` if it is a text."""
    if not isinstance(value, str):
        message = f"{name}: expected a str, got {type(value).__name__}"
        raise DTypeError(message)
    return value


def checked_unicode(value: str, name: str) -> str:
    """Return ``value`` if it is a text that UTF-8 can encode."""
    try:
        checked_text(value, name).encode()
    except UnicodeEncodeError:
        raise DTypeError(f"{name}: expected valid Unicode, got {value!r:.200}") from None
    return value


def dtype_name(value: Word | np.dtype[Any] | type[np.generic], choices: tuple[Word, ...]) -> Word:
    """Return the name of a dtype, which is one of the choices, as text or as a dtype of NumPy."""
    if isinstance(value, (np.dtype, type)):
        value = next((name for name in choices if np.dtype(name) == value), value)
    return choice(cast("Word", value), "dtype", choices)


def instance_of(value: Any, kind: Any, name: str) -> Any:
    """Return ``value`` if it is an object of a class, or of one of a tuple of classes."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(one.__name__ for one in kinds)
        message = f"{name}: expected {expected}, got {type(value).__name__}"
        raise DTypeError(message)
    return value


def checked_integers(values: Iterable[int], name: str) -> set[int]:
    """Return integers as a set."""
    try:
        return {index(value) for value in values}
    except TypeError:
        message = f"{name}: expected integers, got {values!r:.200}"
        raise DTypeError(message) from None
