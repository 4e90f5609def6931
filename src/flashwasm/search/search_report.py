"""Whether a graph is searched or every vector looked at, and what is found."""

from __future__ import annotations

from dataclasses import dataclass

# With so many vectors for each that a search keeps, looking at all of them takes about as long:
# measured, see docs/decisions/0008-when-a-graph-is-searched.md.
CROSSOVER = 24


@dataclass(frozen=True)
class SearchReport:
    """How an index answers a batch of queries.

    Attributes
    ----------
    exact : bool
        Whether every vector was looked at, or the graph was searched.
    reason : str
        Why.
    recall : float
        Share of the k nearest that were found, over the queries sampled; 1.0 where every vector was
        looked at.
    sampled : int
        Queries that the recall is taken from.
    """

    exact: bool
    reason: str
    recall: float
    sampled: int


def plan(vectors: int, kept: int, *, exact: bool | None) -> tuple[bool, str]:
    """Return whether to look at every vector, and why; ``kept`` is the greater of ef and k."""
    if exact is not None:
        return bool(exact), f"exact={exact} was asked for"
    bound = CROSSOVER * kept
    some = vectors <= bound
    compared = f"{'at most' if some else 'more than'} {bound} = {CROSSOVER} max(ef, k)"
    return some, f"{vectors} vectors, {compared}"
