"""A result of `FunctionIndex.search`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flashwasm.html_tables import html_table

if TYPE_CHECKING:
    from flashwasm.qe.functions.function_collection import FunctionSource

__all__ = ["FunctionMatch"]


@dataclass(frozen=True)
class FunctionMatch:
    """A function that matches a description.

    Parameters
    ----------
    function : FunctionSource
        The function.
    score : float
        Mean of the components' z-scores: the number of standard deviations by which the function
        is more similar to the description than the average function of the program.
    components : mapping of str to float
        Cosine by scorer, in [-1, 1].
    shared_words : list of str
        Words of the description that occur in the function's source, also as parts of names.
    shares : mapping of str to float
        Share of each scorer in the score, in standard deviations. The shares add up to the score.
    """

    function: FunctionSource
    score: float
    components: Mapping[str, float] = field(default_factory=dict)
    shared_words: list[str] = field(default_factory=list)
    shares: Mapping[str, float] = field(default_factory=dict)

    _repr_html_ = html_table
