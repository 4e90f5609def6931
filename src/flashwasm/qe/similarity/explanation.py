"""Explanation of a match: the names and lines that both texts contain."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Explainer", "Explanation"]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
# Maximum number of names and of lines to show, so that people see them at a glance.
_SHOWN = 8
_LINES_SHOWN = 5
# Minimum length of a line to show. Shorter lines are mostly brackets.
_SHORTEST_LINE = 6


@dataclass(frozen=True)
class Explanation:
    """Names and lines that a match and the query have in common.

    Parameters
    ----------
    identifiers : list of str
        Names in both texts. Names that occur in few texts come first.
    lines : list of str
        Lines that are equal except for their indentation.
    """

    identifiers: list[str]
    lines: list[str]


class Explainer:
    """Explains matches within one collection of sources.

    Parameters
    ----------
    sources : iterable of str
        All sources of the collection. They are counted, because a rare common name explains more
        than a frequent one.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._frequency = Counter(name for source in sources for name in _names(source))

    def explain(self, query: str, match: str) -> Explanation:
        """Return the names and lines that two sources have in common."""
        shared = _names(query) & _names(match)
        rarest = sorted(shared, key=lambda name: (self._frequency[name], name))
        theirs = set(_lines(match))
        lines = [line for line in dict.fromkeys(_lines(query)) if line in theirs]
        return Explanation(rarest[:_SHOWN], lines[:_LINES_SHOWN])


def _names(source: str) -> set[str]:
    """Return the identifiers of a source, without keywords and single letters."""
    return {
        name
        for name in _IDENTIFIER.findall(source)
        if len(name) > 1 and not keyword.iskeyword(name) and name != "self"
    }


def _lines(source: str) -> list[str]:
    """Return the lines of a source that are long enough to show, without indentation."""
    lines = (line.strip() for line in source.splitlines())
    return [line for line in lines if len(line) >= _SHORTEST_LINE]
