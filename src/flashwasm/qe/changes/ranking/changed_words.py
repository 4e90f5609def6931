"""The words in each place that a change edits, and how well tests match them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from flashwasm.qe.changes.ranking.bm25 import Bm25
from flashwasm.qe.changes.ranking.changed_definitions import changed_functions
from flashwasm.qe.scoring.term_analyzers import identifiers

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["shared_words"]

Array = npt.NDArray[Any]
_NAME = re.compile(r"[^\W\d]\w*")
# Changed lines with more unchanged lines between them are two places.
_GAP = 3
# Number of places that are looked at, the first ones. A change of more is about too many things.
_PLACES = 50
# Number of characters of the functions that are looked at.
_LONGEST = 20_000


def shared_words(
    tests: Sequence[CollectedTest], changes: Sequence[ChangedFile], root: Path
) -> list[Array]:
    """Return BM25's scores of the tests for the words of each place that a change edits.

    Words are identifiers, and the parts of those. A place is a run of changed lines; the name of
    its file counts as well. All functions with changed lines are one more place.

    Parameters
    ----------
    tests : sequence of CollectedTest
        Tests of the suite.
    changes : sequence of ChangedFile
        Changed files.
    root : pathlib.Path
        Folder that their paths are relative to. It holds the files after the change.

    Returns
    -------
    list of numpy.ndarray, shape (tests,)
        The scores by place, at least one array.
    """
    texts = [changed_functions(changes, root)[:_LONGEST], *_runs_of_lines(changes)]
    places = [_terms(text) for text in texts[:_PLACES]]
    wanted = {term for place in places for term in place}
    found, lengths = [], []
    for test in tests:
        terms = _terms(test.source)
        lengths.append(terms.total())
        found.append({term: terms[term] for term in wanted & terms.keys()})
    words = Bm25(found, lengths)
    return [words.scores(place) for place in places]


def _runs_of_lines(changes: Sequence[ChangedFile]) -> Iterator[str]:
    """Yield the text of each run of changed lines, below the name of its file."""
    for change in changes:
        place = [PurePosixPath(change.path).stem]
        last = 0
        for old, new, text in change.lines:
            if old is None or new is None:
                number = new or old or 0
                if len(place) > 1 and number - last > _GAP:
                    yield "\n".join(place)
                    del place[1:]
                place.append(text)
                last = number
        yield "\n".join(place)


def _terms(text: str) -> Counter[str]:
    """Return how often a text has each word."""
    return Counter(term for name in _NAME.findall(text) for term in _parts(name))


@lru_cache(1 << 14)
def _parts(name: str) -> list[str]:
    """Return a name, and the words in it. Most names of a suite occur many times."""
    return identifiers(name)
