"""One-line summaries of objects, for their ``__repr__``."""

from __future__ import annotations

__all__ = ["are", "counted", "number_of", "summary", "them"]


def summary(thing: object, *facts: str, closed: bool = False, **settings: object) -> str:
    """Return a line with the class and contents of an object: ``FlatIndex(dim=8, vectors=1,000)``.

    Parameters
    ----------
    thing : object
        The object.
    *facts : str
        Facts about the object, as text.
    closed : bool, default False
        True if the object can no longer be used.
    **settings : object
        Further facts, by name.
    """
    named = [f"{name}={_shown(value)}" for name, value in settings.items()]
    state = ["closed"] if closed else []
    return f"{type(thing).__name__}({', '.join([*facts, *named, *state])})"


def counted(number: int, things: str) -> str:
    """Return a number and a noun: "1,504 tests", but "1 test" and "1 query"."""
    return f"{number:,} {_noun(number, things)}"


def number_of(number: int, things: str) -> str:
    """Return a number and a noun as `counted` does, but write the number as shapes do: "1504"."""
    return f"{number} {_noun(number, things)}"


def are(number: int) -> str:
    """Return "is" for 1, and "are" for every other number."""
    return "is" if number == 1 else "are"


def them(number: int) -> str:
    """Return "it" for 1, and "them" for every other number."""
    return "it" if number == 1 else "them"


def _shown(value: object) -> str:
    """Return the ``repr`` of a value; an integer gets thousands separators."""
    return f"{value:,}" if type(value) is int else repr(value)


def _noun(number: int, things: str) -> str:
    """Return a noun in the form that a number takes: "tests", but for 1 "test"."""
    if number != 1:
        return things
    if things == "axes":
        return "axis"
    return things[:-3] + "y" if things.endswith("ies") else things.removesuffix("s")
