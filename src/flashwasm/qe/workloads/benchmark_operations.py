"""The operations of the workloads to benchmark, on random vectors, suites and libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flashwasm.encoder import SentenceEncoder
from flashwasm.errors import CapabilityError
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.defects.failure_library import FailureLibrary
from flashwasm.qe.defects.tracebacks import read_failure
from flashwasm.qe.scoring.scorers import MeaningScorer, Scorer, TermScorer
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.suites.suite import CollectedTest, Suite
from flashwasm.qe.workloads.configuration import QE_SONA_CONFIG

if TYPE_CHECKING:
    from flashwasm.qe.workloads.qe_flash_attention import QEFlashAttention
    from flashwasm.qe.workloads.similarity import VectorMatch

__all__ = ["OPERATIONS", "TimedOperation"]

Floats = npt.NDArray[np.float32]
Run = Callable[[], object]
_TESTS, _PATTERNS, _COVERED, _TOKENS = 10_000, 1_000, 50_000, 512
_DIM, _LINES = 384, 128


@dataclass(frozen=True)
class TimedOperation:
    """An operation to time.

    Parameters
    ----------
    name : str
        Name of the operation with its sizes.
    run : callable or None
        Function that runs the operation once; None if a package or model that it needs is missing.
    numpy : callable or None
        Function that computes the same result with NumPy, if there is one.
    same : callable or None
        Function that returns True if both results agree or, without `numpy`, if the result is
        correct.
    missing : str
        Message that names the missing package or model, and how to install it.
    """

    name: str
    run: Run | None
    numpy: Run | None = None
    same: Callable[[], bool] | None = None
    missing: str = ""


def _cosines(query: Floats, rows: Floats) -> Floats:
    """Return the cosines of a query with all rows, computed with NumPy."""
    products: Floats = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    return products


def _nearest(query: Floats, rows: Floats, count: int) -> list[int]:
    """Return the positions of the rows nearest to a query, computed with NumPy."""
    order: list[int] = np.argsort(-_cosines(query, rows), kind="stable")[:count].tolist()
    return order


def _places(matches: list[VectorMatch]) -> list[int]:
    """Return the positions of the rows that were found."""
    return [match.index for match in matches]


def _similarity(rng: np.random.Generator, qe: QEFlashAttention) -> list[TimedOperation]:
    """Return the operations of "test-similarity"."""
    corpus = rng.standard_normal((_TESTS, _DIM), np.float32)

    def run() -> list[int]:
        return _places(qe.compute_test_similarity(corpus[0], corpus, 5))

    def by_numpy() -> list[int]:
        return _nearest(corpus[0], corpus, 5)

    vectors = TimedOperation(
        f"compute_test_similarity: the 5 nearest of {_TESTS} x {_DIM}",
        run,
        numpy=by_numpy,
        same=lambda: run() == by_numpy(),
    )
    words = _words(rng)
    tests = [
        CollectedTest(f"t/test_{i}.py::test_{i}", Path(f"test_{i}.py"), 1, _source(rng, words))
        for i in range(_TESTS)
    ]
    sources = [test.source for test in tests]
    scorers: list[Scorer] = [
        TermScorer(name, TfIdfMatrix(name, sources)) for name in ("characters", "structure")
    ]
    scorers.append(MeaningScorer(corpus, lambda _: corpus[0]))
    index = SuiteIndex(Suite(Path(), tests, []), scorers)
    chosen = cycle(range(len(tests)))
    return [
        vectors,
        TimedOperation(
            f"SuiteIndex.similar: the 10 nearest of {_TESTS} tests by characters, structure and "
            "meaning",
            lambda: index.similar(tests[next(chosen)].nodeid, 10),
        ),
    ]


def _embedding(rng: np.random.Generator, qe: QEFlashAttention) -> list[TimedOperation]:
    """Return the operations of "code-embedding"."""
    positions = rng.standard_normal((_TOKENS, _DIM), np.float32)
    tokens = rng.standard_normal((_TOKENS, _DIM), np.float32)

    def run() -> Floats:
        # The tokens change with each call, so that the cache of embeddings never has a result.
        tokens[0] += 1
        return np.asarray(qe.generate_code_embedding(tokens, positions))

    def by_numpy() -> Floats:
        x = (tokens + positions).reshape(_TOKENS, -1, 64).swapaxes(0, 1)
        scores = x @ x.swapaxes(1, 2) / np.float32(8)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        states = (weights / weights.sum(-1, keepdims=True)) @ x
        pooled: Floats = states.mean(axis=1).reshape(-1)
        return pooled / np.linalg.norm(pooled)

    found = [
        TimedOperation(
            f"generate_code_embedding: {_TOKENS} tokens x {_DIM}",
            run,
            numpy=by_numpy,
            same=lambda: bool(np.allclose(run(), by_numpy(), atol=1e-4)),
        )
    ]
    name = f"SentenceEncoder.encode: one function of {_TOKENS} tokens"
    try:
        encoder = SentenceEncoder.load()
    except CapabilityError as error:
        return [*found, TimedOperation(name, None, missing=str(error))]
    text = " ".join(_words(rng)[:_TOKENS])
    label = f"{name}, {encoder.name}"
    return [*found, TimedOperation(label, lambda: encoder.encode([text], max_length=_TOKENS))]


def _defect(rng: np.random.Generator, qe: QEFlashAttention) -> list[TimedOperation]:
    """Return the operations of "defect-matching"."""
    vectors = rng.standard_normal((_PATTERNS, _DIM), np.float32)
    library = {f"defect {i}": row for i, row in enumerate(vectors)}

    def run() -> list[str]:
        found = qe.match_defect_pattern(vectors[0], library, top_k=5)
        return [match.pattern for match in found]

    def by_numpy() -> list[str]:
        return [f"defect {i}" for i in _nearest(vectors[0], vectors, 5)]

    words = _words(rng)
    texts = [_traceback(rng, words) for _ in range(_PATTERNS)]
    with TemporaryDirectory() as folder:
        # The library reads its whole file into memory, so it works after the file is deleted.
        known = FailureLibrary(Path(folder, "library.db"), create=True)
        known.learn_all({f"defect {i}": [read_failure(text)] for i, text in enumerate(texts)})
    return [
        TimedOperation(
            f"match_defect_pattern: one of {_PATTERNS} x {_DIM}",
            run,
            numpy=by_numpy,
            same=lambda: run() == by_numpy(),
        ),
        TimedOperation(
            f"FailureLibrary.match: one traceback against {_PATTERNS} defects",
            lambda: known.match(texts[7]),
            same=lambda: known.match(texts[7]).defect == "defect 7",
        ),
    ]


def _coverage(rng: np.random.Generator, qe: QEFlashAttention) -> list[TimedOperation]:
    """Return the operations of "coverage-analysis"."""
    rows = (rng.random((_COVERED, _LINES)) < 0.1).astype(np.float32)

    def run() -> list[int]:
        return _places(qe.search_coverage(rows[0], rows))

    def by_numpy() -> list[int]:
        return _nearest(rows[0], rows, 10)

    def exact() -> bool:
        # The rows contain zeros and ones, so many cosines are equal, and NumPy may order rows with
        # equal cosines differently. So the check compares the cosines instead of the positions.
        cosines = _cosines(rows[0], rows)
        return bool(np.allclose(cosines[run()], cosines[by_numpy()], atol=1e-6))

    linked = qe.index_coverage(rows)

    def by_graph() -> list[int]:
        return _places(qe.search_coverage(rows[0], linked))

    # Each test runs 25 of 3,250 blocks of 8 lines. That is about as sparse as the coverage of
    # networkx's own tests.
    starts = np.sort(rng.integers(1, 3251, (_COVERED, 25)), axis=1) * 8
    blocks = (starts[:, :, None] + np.arange(8)).reshape(_COVERED, -1)
    lines = {(0, i): np.unique(row) for i, row in enumerate(blocks)}
    index = CoverageIndex(
        CoverageData(["lib.py"], [f"t.py::test_{i}" for i in range(len(rows))], lines)
    )
    return [
        TimedOperation(
            f"search_coverage, indexed: the 10 nearest of {_COVERED} x {_LINES}",
            by_graph,
            numpy=by_numpy,
            same=lambda: by_graph()[0] == 0,
        ),
        TimedOperation(
            f"search_coverage, an array: the 10 nearest of {_COVERED} x {_LINES}",
            run,
            numpy=by_numpy,
            same=exact,
        ),
        TimedOperation(
            f"CoverageIndex.nearest: the 10 nearest of {_COVERED} tests, 200 of 26,000 lines each",
            lambda: index.nearest("t.py::test_0", 10),
        ),
    ]


def _adaptation(rng: np.random.Generator, qe: QEFlashAttention) -> list[TimedOperation]:
    """Return the operations of "pattern-adaptation"."""
    pattern, target = rng.standard_normal((2, _DIM), np.float32)
    rank = QE_SONA_CONFIG[qe.workload].rank
    weights = rng.standard_normal((2, rank, _DIM), np.float32) / np.float32(_DIM**0.5)
    moments = np.zeros((2, 2, rank, _DIM), np.float32)

    def by_numpy() -> None:
        a, b = weights
        h = a @ pattern
        error = pattern + h @ b - target
        gradients = np.stack([np.outer(b @ error, pattern), np.outer(h, error)])
        moments[0] += np.float32(0.1) * (gradients - moments[0])
        moments[1] += np.float32(0.001) * (gradients**2 - moments[1])
        weights[...] -= np.float32(1e-3) * moments[0] / (np.sqrt(moments[1]) + np.float32(1e-8))

    name = f"adapt_pattern: one step of rank {rank} at {_DIM}"
    return [TimedOperation(name, lambda: qe.adapt_pattern(pattern, target), by_numpy)]


def _words(rng: np.random.Generator) -> list[str]:
    """Return random words."""
    letters = np.array(list("abcdefghijklmnoprstuvw"))
    return ["".join(rng.choice(letters, n)) for n in rng.integers(3, 9, 3000)]


def _source(rng: np.random.Generator, words: list[str]) -> str:
    """Return the source of a test of four to sixteen lines of random words."""
    count = int(rng.integers(2, 9))
    w = iter([words[i] for i in rng.integers(0, len(words), 8 * count + 2)])
    body = "".join(
        f"    {next(w)} = {next(w)}.{next(w)}({next(w)})\n"
        f"    assert {next(w)}.{next(w)}({next(w)}) == {next(w)}\n"
        for _ in range(count)
    )
    return f"def test_{next(w)}({next(w)}):\n{body}"


def _traceback(rng: np.random.Generator, words: list[str]) -> str:
    """Return a traceback of four frames as pytest prints it with ``--tb=short``."""
    w = iter([words[i] for i in rng.integers(0, len(words), 20)])
    frames = [
        f"{next(w)}/{next(w)}.py:{i + 10}: in {next(w)}\n    return {next(w)}" for i in range(4)
    ]
    return "\n".join([*frames, f"E   ValueError: {next(w)} {next(w)}"])


Make = Callable[[np.random.Generator, "QEFlashAttention"], list[TimedOperation]]
OPERATIONS: dict[str, Make] = {
    "test-similarity": _similarity,
    "code-embedding": _embedding,
    "defect-matching": _defect,
    "coverage-analysis": _coverage,
    "pattern-adaptation": _adaptation,
}
