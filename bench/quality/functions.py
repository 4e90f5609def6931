"""Evaluation of search: the words of a docstring should find the function that they describe."""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.quality.baselines import BM25, TFIDF, Bm25, CharacterTfIdf
from bench.quality.measures import Figure, figures, ranked, reciprocal_rank
from flashwasm.errors import CapabilityError
from flashwasm.qe.functions.function_collection import collect_functions
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.scoring.score_fusion import fused
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder

__all__ = ["DESCRIPTIONS", "measure_search", "undocumented"]

Array = npt.NDArray[Any]
DESCRIPTIONS = 800
_SEED = 0
_KEPT = 200


def measure_search(
    name: str,
    path: str | Path,
    model: str | Path | SentenceEncoder | None,
    advance: Callable[[int, int], None],
) -> list[Figure]:
    """Remove a program's docstrings, and search with the first paragraphs of some of them.

    Parameters
    ----------
    name : str
        Name of the collection.
    path : str or pathlib.Path
        Folder of the program.
    model : str, pathlib.Path, SentenceEncoder or None
        Model that embeds; None means the default model, if it is installed.
    advance : callable
        Function that is called with the number of queries done and their total.
    """
    functions, _ = collect_functions(path)
    described = [i for i, function in enumerate(functions) if function.description]
    queries = [described[i] for i in _sample(len(described))]
    if not queries:
        return []
    words = [functions[i].description for i in queries]
    asked = set(queries)
    # The index learns the vocabulary of descriptions from docstrings. It must not learn from those
    # that are queries.
    bare = [
        replace(
            function,
            source=undocumented(function.source),
            description="" if i in asked else function.description,
        )
        for i, function in enumerate(functions)
    ]
    sources = [function.source for function in bare]
    rankers: dict[str, Callable[[str], Array]] = {}
    try:
        rankers["flashwasm"] = _fused(FunctionIndex.of(bare, model=model))
    except CapabilityError:
        if model is not None:
            raise
    rankers["flashwasm without a model"] = _fused(FunctionIndex.lexical(bare, [], []))
    rankers[TFIDF] = CharacterTfIdf(sources).scores
    rankers[BM25] = Bm25(sources).scores
    measured: dict[str, dict[str, Array]] = {"MRR": {}, "hit@10": {}}
    for method, scores in rankers.items():
        ranks: list[float] = []
        for query, text in zip(queries, words, strict=True):
            advance(len(measured["MRR"]) * len(queries) + len(ranks), len(rankers) * len(queries))
            relevant = ranked(scores(text)) == query
            ranks.append(reciprocal_rank(relevant))
        measured["MRR"][method] = np.array(ranks)
        measured["hit@10"][method] = (np.array(ranks) >= 1 / 10).astype(np.float64)
    return figures(
        "docstring search", f"{name}, {counted(len(bare), 'functions')}", measured, TFIDF
    )


def _fused(index: FunctionIndex) -> Callable[[str], Array]:
    """Return a function that scores all functions with a query."""
    return lambda words: fused(index.components(words))


def undocumented(source: str) -> str:
    """Return the source of a function without its docstring and those of inner definitions.

    Parameters
    ----------
    source : str
        Source of the function.
    """
    text = textwrap.dedent(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    lines = text.encode("utf-8", "surrogatepass").splitlines()
    emptied: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            first = node.body[0]
            start, end = first.lineno - 1, (first.end_lineno or first.lineno) - 1
            rest = lines[start][: first.col_offset] + lines[end][first.end_col_offset :]
            # Keep a line that contains code besides the docstring, and remove an empty one.
            lines[start] = rest
            emptied.update(range(start if not rest.strip() else start + 1, end + 1))
    kept = [line for i, line in enumerate(lines) if i not in emptied]
    return b"\n".join(kept).decode("utf-8", "surrogatepass")


def _sample(count: int) -> Sequence[int]:
    """Return seeded positions of queries. The index learns from docstrings at other positions."""
    asked = min(DESCRIPTIONS, max(count - _KEPT, (count + 1) // 2))
    return [int(i) for i in np.random.default_rng(_SEED).permutation(count)[:asked]]
