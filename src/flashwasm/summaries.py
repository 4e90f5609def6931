"""Summaries of objects, one line each, which their ``__repr__`` returns."""

from __future__ import annotations

__all__ = ["counted", "summary"]


def summary(thing: object, *facts: str, closed: bool = False, **settings: object) -> str:
    """Return a line that says what an object is and holds: ``FlatIndex(dim=8, vectors=1,000)``.

    Parameters
    ----------
    thing : object
        The object, whose class is named.
    *facts : str
        Facts about it, each as it is to be shown.
    closed : bool, default False
        True if the object can no longer be used.
    **settings : object
        Further facts by name.
    """
    named = [f"{name}={_shown(value)}" for name, value in settings.items()]
    state = ["closed"] if closed else []
    return f"{type(thing).__name__}({', '.join([*facts, *named, *state])})"


def counted(number: int, things: str) -> str:
    """Return a number with what it counts: "1,504 tests", and "1 test" for the plural "tests"."""
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"


def _shown(value: object) -> str:
    """Return a value as Python shows it, but an integer with its thousands apart."""
    return f"{value:,}" if type(value) is int else repr(value)
