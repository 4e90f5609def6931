"""The builder of a suite's scorers, from its sources or from stored data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, get_args

import numpy as np

from flashwasm.errors import CapabilityError
from flashwasm.object_checks import instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.adaptation.adaptation_store import active_adaptation
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.scoring.inverted_index import RowSimilarity
from flashwasm.qe.scoring.scorers import CoverageScorer, MeaningScorer, Scorer, TermScorer
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
from flashwasm.qe.similarity.stored_scorers import StoredEmbeddings, SuiteScorerData
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder

__all__ = ["ALL_SCORERS", "DEFAULT_SCORERS", "ScorerBuilder", "embedder_in_background"]

ScorerName: TypeAlias = Literal["characters", "identifiers", "structure", "meaning"]
ALL_SCORERS = get_args(ScorerName)
# docs/guide/similar.md has the measurements behind this choice.
DEFAULT_SCORERS = ("characters", "structure", "meaning")


class ScorerBuilder:
    """Builds the scorers for one suite.

    Parameters
    ----------
    sources : list of str
        Sources of the tests.
    model : str, pathlib.Path or SentenceEncoder, optional
        As for `SuiteIndex.build`.
    runtime : Runtime, optional
        As for `SuiteIndex.build`.
    data : SuiteScorerData
        Stored data. The builder computes missing data and adds it.
    root : pathlib.Path, optional
        Root of the suite whose active adaptation is used; None uses no adaptation.
    embedder : callable, optional
        Function that returns an embedder for ``model`` and ``runtime``, or raises an error. None
        creates an embedder when it is needed.

    Attributes
    ----------
    data : SuiteScorerData
        Data that the scorers are built from.
    adaptation : int or None
        Version of the adaptation in use.
    notes : list of str
        Reason for not using the active adaptation, if it is not used.
    """

    def __init__(
        self,
        sources: list[str],
        model: str | Path | SentenceEncoder | None,
        runtime: Runtime | None,
        data: SuiteScorerData,
        root: Path | None = None,
        embedder: Callable[[], Embedder] | None = None,
    ) -> None:
        self._sources = sources
        self._model = model
        self._runtime: Runtime | None = instance_of(runtime, (Runtime, NoneType), "runtime")
        self._root = root
        self._embedder = embedder
        self.data = data
        self.adaptation: int | None = None
        self.notes: list[str] = []

    def scorers(
        self, names: Sequence[str], *, needed: Sequence[str], progress: bool, cache: bool
    ) -> tuple[list[Scorer], list[str]]:
        """Return the scorers that can be built, and the errors of the others.

        If `data` contains coverage, the scorer of coverage is included.

        Parameters
        ----------
        names : sequence of str
            Names of the scorers to build.
        needed : sequence of str
            Names of required scorers.
        progress, cache : bool
            As for `SuiteIndex.build`.

        Raises
        ------
        CapabilityError
            If a package or a model is missing for a required scorer, or for every scorer.
        """
        built: list[Scorer] = []
        lacking: dict[str, None] = {}
        for name in names:
            try:
                built.append(self._scorer(name, progress=progress, cache=cache))
            except CapabilityError as error:  # noqa: PERF203 - there are four scorers at most.
                if name in needed:
                    raise
                lacking[str(error)] = None
        if self.data.rows is not None:
            built.append(CoverageScorer(RowSimilarity(self.data.rows)))
        if not built:
            raise CapabilityError("; ".join(lacking))
        return built, list(lacking)

    def _scorer(self, name: str, *, progress: bool, cache: bool) -> Scorer:
        """Build the scorer with a name, and add its data to `data`."""
        if name == "meaning":
            return self._meaning(progress=progress, cache=cache)
        known = self.data.terms
        with progress_report(f"counting {name}", show=progress) as advance:
            # A suite without tests uses one empty text, since a matrix needs at least one.
            sources = self._sources or [""]
            terms = TfIdfMatrix(name, sources, cache=cache, progress=advance, known=known)
        known[terms.key] = terms.arrays
        return TermScorer(name, terms)

    def _meaning(self, *, progress: bool, cache: bool) -> MeaningScorer:
        """Return the scorer of embeddings, which are computed unless `data` contains them."""
        # With None as its runtime, a scorer looks up the default runtime at each query. So it
        # also works in a forked process, which has another default runtime.
        rt = self._runtime
        known = self.data.embeddings
        try:
            embedder = self._embedder_for(known, rt, cache=cache)
        except CapabilityError as error:
            if known is None or self._model is not None:
                raise
            # Without the model, tests can still be compared, because their embeddings are known.
            return MeaningScorer(known.vectors, _raising(error), runtime=rt)
        if not self._sources:
            return MeaningScorer(np.zeros((1, 1), np.float32), lambda _: np.zeros(1), runtime=rt)
        if known is None or known.settings != embedder.settings:
            with progress_report("embedding", show=progress) as advance:
                vectors = embedder.embed(self._sources, progress=advance)
            known = StoredEmbeddings(vectors, str(embedder.folder), embedder.settings)
        self.data.embeddings = known
        transform = None
        if self._root is not None:
            active = active_adaptation(self._root, embedder.identity, checked_runtime(rt))
            self.adaptation, transform, self.notes = active
        return MeaningScorer(
            known.vectors, embedder.embed_query, transform=transform, cache=cache, runtime=rt
        )

    def _embedder_for(
        self, known: StoredEmbeddings | None, runtime: Runtime | None, *, cache: bool
    ) -> Embedder:
        """Return the embedder for the given model, or else for the model of the embeddings."""
        if self._embedder is not None:
            return self._embedder()
        model = self._model
        if model is None and known is not None and Path(known.model).is_dir():
            model = known.model
        return Embedder(model, cache=cache, runtime=runtime)


def embedder_in_background(
    model: str | Path | SentenceEncoder | None, runtime: Runtime | None, *, cache: bool
) -> Callable[[], Embedder]:
    """Start to create an embedder in a thread; return a function that waits for it.

    If creating the embedder fails, the function raises the error. Most of the time is spent on
    hashing the model's files, which releases the GIL, so other threads run in parallel.
    """
    pool = ThreadPoolExecutor(1)
    made = pool.submit(Embedder, model, cache=cache, runtime=runtime)
    pool.shutdown(wait=False)
    return made.result


def _raising(error: CapabilityError) -> Callable[[str], NoReturn]:
    """Return a function that raises an error, for use in place of `Embedder.embed_query`."""

    def embed(_: str) -> NoReturn:
        raise error

    return embed
