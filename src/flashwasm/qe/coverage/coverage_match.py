"""A result of a search for tests with similar coverage."""

from __future__ import annotations

from dataclasses import dataclass

from flashwasm.html_tables import html_table

__all__ = ["CoverageMatch"]


@dataclass(frozen=True)
class CoverageMatch:
    """A test that has lines in common with another test.

    Attributes
    ----------
    nodeid : str
        Node id.
    score : float
        Cosine of the lines that the two tests run.
    shared : int
        Number of lines that both run.
    """

    nodeid: str
    score: float
    shared: int

    _repr_html_ = html_table
