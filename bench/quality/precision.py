"""Evaluation of embeddings by 8-bit codes: their search results, compared with float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.quality.measures import interval, ranked, reciprocal_rank
from bench.quality.similarity import QUERIES, labelled_queries
from flashwasm.benchmarks.report import markdown_table, terminal_table
from flashwasm.encoder import SentenceEncoder
from flashwasm.progress_bar import progress_report
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.scoring.score_fusion import fused
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.benchmarks.report import Rows

    Array = NDArray[Any]

__all__ = ["PrecisionFindings", "PrecisionRow", "measure_precision"]

# Limits for codes: the maximum difference of the MRR, and the minimum median cosine of an embedding
# by codes with that in float32.
MOST_DIFFERENCE = 0.005
LEAST_COSINE = 0.98
_HEADINGS = (
    "suite",
    "queries",
    "ranked by",
    "MRR float32",
    "MRR int8",
    "difference",
    "95 %",
    "median cosine",
    "lowest cosine",
    "verdict",
)


@dataclass(frozen=True)
class PrecisionRow:
    """The searches of one suite with embeddings of two precisions.

    Attributes
    ----------
    suite, ranked_by : str
        The suite with its number of tests and the results to find; and the ranking: by all
        scorers, or by embeddings alone.
    queries : int
        Number of queries.
    float32, int8 : float
        Mean reciprocal rank of the first test of the query's class or file.
    over, low, high : float
        Difference of the two, and its 95 % interval from resampling the queries in pairs.
    median_cosine, lowest_cosine : float
        Cosine of a test's two embeddings: median and smallest over all tests.
    """

    suite: str
    ranked_by: str
    queries: int
    float32: float
    int8: float
    over: float
    low: float
    high: float
    median_cosine: float
    lowest_cosine: float

    @property
    def is_missed(self) -> bool:
        """True if all scorers' results differ too much with codes, or a cosine is too low.

        The rows for embeddings alone have no target.
        """
        if self.ranked_by != _ALL:
            return False
        return abs(self.over) > MOST_DIFFERENCE or self.median_cosine < LEAST_COSINE

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, in the order of the headings."""
        verdict = "missed" if self.is_missed else "met"
        return (
            self.suite,
            str(self.queries),
            self.ranked_by,
            f"{self.float32:.4f}",
            f"{self.int8:.4f}",
            f"{self.over:+.4f}",
            f"{self.low:+.4f} to {self.high:+.4f}",
            f"{self.median_cosine:.4f}",
            f"{self.lowest_cosine:.4f}",
            verdict if self.ranked_by == _ALL else "",
        )


_ALL, _ALONE = "all scorers", "embeddings"


@dataclass(frozen=True)
class PrecisionFindings:
    """The rows of all suites, and their report."""

    rows: Sequence[PrecisionRow]

    @property
    def missed(self) -> bool:
        """True if a row misses a limit for codes."""
        return any(row.is_missed for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        return {"precision": [asdict(row) for row in self.rows]}

    def tables(self) -> list[Any]:
        """Return the tables for the terminal."""
        return [terminal_table(*self._section())]

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        return markdown_table(*self._section())

    def _section(self) -> tuple[str, Sequence[str], Rows]:
        """Return title, headings and rows of the table."""
        title = (
            f"Similar tests by int8, at most {MOST_DIFFERENCE:g} of MRR from float32; "
            f"median cosine at least {LEAST_COSINE:g}"
        )
        return title, _HEADINGS, [row.cells() for row in self.rows]


def measure_precision(
    paths: Sequence[Path], model: str | None, most: int = QUERIES
) -> PrecisionFindings:
    """Evaluate suites with embeddings of both precisions, with progress on stderr.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Folders of packages with their tests.
    model : str or None
        Installed model's name or folder. None means the default model.
    most : int
        Maximum number of queries of a suite.

    Raises
    ------
    CapabilityError
        If the model is not installed.
    """
    rows: list[PrecisionRow] = []
    float32 = SentenceEncoder.load(model)
    int8 = SentenceEncoder.load(model, precision="int8")
    for path in paths:
        exact = SuiteIndex.build(path, model=float32, progress=True)
        codes = SuiteIndex.build(path, model=int8, scorers=["meaning"], progress=True)
        queries, groups, what = labelled_queries(exact.tests, most)
        if not queries:
            continue
        with progress_report(f"similar tests of {path.resolve().name}") as advance:
            ranks = _ranks(exact, codes, queries, groups, advance)
        sources = [test.source for test in exact.tests]
        both = (Embedder(encoder).embed(sources) for encoder in (float32, int8))
        cosines = np.einsum("nd,nd->n", *both)
        name = f"{path.resolve().name}, same {what}, {counted(len(exact.tests), 'tests')}"
        for ranked_by, (before, after) in ranks.items():
            over, low, high = interval(after - before)
            rows.append(
                PrecisionRow(
                    suite=name,
                    ranked_by=ranked_by,
                    queries=len(queries),
                    float32=float(before.mean()),
                    int8=float(after.mean()),
                    over=over,
                    low=low,
                    high=high,
                    median_cosine=float(np.median(cosines)),
                    lowest_cosine=float(cosines.min()),
                )
            )
    return PrecisionFindings(rows)


def _ranks(
    exact: SuiteIndex,
    codes: SuiteIndex,
    queries: Sequence[int],
    groups: Array,
    advance: Callable[[int, int], None],
) -> dict[str, tuple[Array, Array]]:
    """Return the reciprocal ranks of all queries by both precisions, for each way to rank."""
    found: dict[str, tuple[list[float], list[float]]] = {_ALL: ([], []), _ALONE: ([], [])}
    for done, query in enumerate(queries, 1):
        components = exact.components(query)
        by_codes = {**components, **codes.components(query)}
        for side, scores in enumerate((components, by_codes)):
            ways = {_ALL: fused(scores, query), _ALONE: scores["meaning"]}
            for way, combined in ways.items():
                relevant = groups[ranked(combined, query)] == groups[query]
                found[way][side].append(reciprocal_rank(relevant))
        advance(done, len(queries))
    return {way: (np.array(before), np.array(after)) for way, (before, after) in found.items()}
