"""Why two tests are called alike: what both of them hold."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Explainer", "Explanation"]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
# What people can take in at a glance.
_SHOWN = 8
_LINES_SHOWN = 5
# Shorter lines are brackets and the like.
_SHORTEST_LINE = 6


@dataclass(frozen=True)
class Explanation:
    """What a match shares with the query.

    Parameters
    ----------
    identifiers : list of str
        Names in both, those that the fewest tests have first.
    lines : list of str
        Lines that are the same but for indentation.
    """

    identifiers: list[str]
    lines: list[str]


class Explainer:
    """Explains matches within one collection of sources.

    Parameters
    ----------
    sources : iterable of str
        All of them: a name that few have says more.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._frequency = Counter(name for source in sources for name in _names(source))

    def explain(self, query: str, match: str) -> Explanation:
        """Return what two sources share."""
        shared = _names(query) & _names(match)
        rarest = sorted(shared, key=lambda name: (self._frequency[name], name))
        theirs = set(_lines(match))
        lines = [line for line in dict.fromkeys(_lines(query)) if line in theirs]
        return Explanation(rarest[:_SHOWN], lines[:_LINES_SHOWN])


def _names(source: str) -> set[str]:
    return {
        name
        for name in _IDENTIFIER.findall(source)
        if len(name) > 1 and not keyword.iskeyword(name) and name != "self"
    }


def _lines(source: str) -> list[str]:
    lines = (line.strip() for line in source.splitlines())
    return [line for line in lines if len(line) >= _SHORTEST_LINE]
