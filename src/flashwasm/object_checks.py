"""Checks of arguments that are texts, or objects of the package's own classes."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

from flashwasm.errors import DTypeError


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
