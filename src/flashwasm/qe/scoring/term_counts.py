"""Counts of the terms of texts, in columns that the terms are hashed to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.term_hashing import hash_terms

__all__ = ["FEATURES", "TermCounts", "count_terms"]

Array = npt.NDArray[Any]
# Number of columns that terms are hashed to. A suite has some hundred thousand different n-grams,
# so that few of them share a column.
FEATURES = 1 << 21
# Minimum number of terms to count at once. Each batch hashes its distinct terms, and the texts of a
# suite share most of them, so smaller batches would repeat work. Counting a million terms takes
# some 50 MB.
_TERMS_AT_ONCE = 1 << 20


class TermCounts(NamedTuple):
    """Entries of a matrix of counts, sorted by column and then by text.

    Parameters
    ----------
    columns : numpy.ndarray of int32, shape (entries,)
        Column of each entry.
    owners : numpy.ndarray of int32, shape (entries,)
        Position of the text that contains terms of that column.
    counts : numpy.ndarray of float32, shape (entries,)
        Number of these terms.
    """

    columns: Array
    owners: Array
    counts: Array


def count_terms(
    texts: Iterable[str], analyze: Callable[[str], list[str]], *, at_once: int = _TERMS_AT_ONCE
) -> TermCounts:
    """Count the terms of texts.

    Parameters
    ----------
    texts : iterable of str
        Texts, read one at a time.
    analyze : callable
        Function that returns the terms of a text.
    at_once : int, optional
        Number of terms to read before they are counted. It limits the memory, and does not change
        the result.
    """
    parts = [_counted(*batch) for batch in _batches(texts, analyze, at_once)]
    keys = np.concatenate([key for key, _ in parts])
    counts = np.concatenate([count for _, count in parts])
    # Each batch is already sorted, and a stable sort merges sorted runs efficiently.
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    return TermCounts(
        (keys >> _OWNER_BITS).astype(np.int32),
        (keys & (1 << _OWNER_BITS) - 1).astype(np.int32),
        counts[order].astype(np.float32),
    )


# Sort by one integer, with the column in the upper bits and the position in the lower bits.
_OWNER_BITS = 32


def _batches(
    texts: Iterable[str], analyze: Callable[[str], list[str]], at_once: int
) -> Iterator[tuple[list[str], list[int], int]]:
    """Yield the terms of some texts, the number of each text's terms, and the first's position."""
    terms: list[str] = []
    lengths: list[int] = []
    first = 0
    for text in texts:
        found = analyze(text)
        terms += found
        lengths.append(len(found))
        if len(terms) >= at_once:
            yield terms, lengths, first
            first += len(lengths)
            terms, lengths = [], []
    yield terms, lengths, first


def _counted(terms: Sequence[str], lengths: Sequence[int], first: int) -> tuple[Array, Array]:
    """Return the sorted keys of a batch's entries, and their counts."""
    # The number of a term is the number of different terms before it.
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    own = np.fromiter(map(numbers.__getitem__, terms), np.int64, len(terms))
    columns = hash_terms(list(numbers)) % FEATURES
    owners = np.repeat(np.arange(first, first + len(lengths)), lengths)
    keys, counts = np.unique(columns[own] << _OWNER_BITS | owners, return_counts=True)
    return keys, counts
