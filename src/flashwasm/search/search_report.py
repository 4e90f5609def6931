"""The choice between a graph search and a comparison with every vector, and its report."""

from __future__ import annotations

from dataclasses import dataclass

from flashwasm.html_tables import html_table
from flashwasm.summaries import number_of
from flashwasm.validation import flag

# With this many vectors per candidate that a search keeps, comparing with all vectors takes as long
# as searching the graph. See the measurements in docs/decisions/0008-when-a-graph-is-searched.md.
CROSSOVER = 24


@dataclass(frozen=True)
class SearchReport:
    """Report on how an index answers a batch of queries.

    Attributes
    ----------
    exact : bool
        True if each query is compared with every vector, False if the graph is searched.
    reason : str
        Reason of that choice, as a phrase.
    recall : float
        Fraction of the k nearest vectors that the search finds for the sampled queries, from 0 to
        1. It is 1.0 if each query is compared with every vector.
    sampled : int
        Number of queries with which the recall was measured; 0 if no measurement was necessary.
    """

    exact: bool
    reason: str
    recall: float
    sampled: int

    _repr_html_ = html_table


def plan(vectors: int, kept: int, *, exact: bool | None) -> tuple[bool, str]:
    """Return True to compare each query with every vector or False for the graph, and a reason.

    Parameters
    ----------
    vectors : int
        Number of vectors in the index.
    kept : int
        Number of candidates that a search of the graph keeps: the greater of ef and k.
    exact : bool or None
        The user's choice. None lets this function choose.
    """
    if exact is not None:
        return flag(exact, "exact"), f"exact={exact} was requested"
    bound = CROSSOVER * kept
    some = vectors <= bound
    compared = f"{'at most' if some else 'more than'} {bound} = {CROSSOVER} max(ef, k)"
    return some, f"{number_of(vectors, 'vectors')}, {compared}"
