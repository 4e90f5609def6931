"""The scorers of a suite, made of its sources or of what a file keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from flashwasm.errors import CapabilityError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.adaptation.adaptation_store import active_adaptation
from flashwasm.qe.scoring.embeddings import Embedder
from flashwasm.qe.scoring.postings import Likeness
from flashwasm.qe.scoring.scorers import CoverageScorer, MeaningScorer, Scorer, TermScorer
from flashwasm.qe.scoring.tfidf import TfIdf
from flashwasm.qe.similarity.suite_file import Kept, StoredVectors
from flashwasm.runtime.runtime import default_runtime

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.runtime.runtime import Runtime

__all__ = ["ScorerBuilder", "embedder_in_background"]


class ScorerBuilder:
    """Makes scorers of the sources of one suite.

    Parameters
    ----------
    sources : list of str
        The tests.
    model, runtime
        As `SuiteIndex.build` has them.
    kept : Kept
        What need not be made again; what is made is added to it.
    root : pathlib.Path, optional
        The suite whose active adaptation to feedback is used; None uses none.
    embedder : callable, optional
        Returns what embeds, made of `model` and `runtime`, or raises what making it raised.

    Attributes
    ----------
    adaptation : int or None
        The version of the adaptation in use.
    notes : list of str
        Why there is none, where one was left out.
    """

    def __init__(
        self,
        sources: list[str],
        model: str | Path | SentenceEncoder | None,
        runtime: Runtime | None,
        kept: Kept,
        root: Path | None = None,
        embedder: Callable[[], Embedder] | None = None,
    ) -> None:
        self._sources = sources
        self._model = model
        self._runtime = runtime
        self._root = root
        self._embedder = embedder
        self.kept = kept
        self.adaptation: int | None = None
        self.notes: list[str] = []

    def scorers(
        self, names: Sequence[str], *, needed: Sequence[str], progress: bool, cache: bool
    ) -> tuple[list[Scorer], list[str]]:
        """Return scorers by name, that by coverage where there is one, and what others lack.

        Raises
        ------
        CapabilityError
            If one that is needed lacks something, or all do.
        """
        built: list[Scorer] = []
        lacking: dict[str, None] = {}
        for name in names:
            try:
                built.append(self._scorer(name, progress=progress, cache=cache))
            except CapabilityError as error:  # noqa: PERF203 - three scorers at most.
                if name in needed:
                    raise
                lacking[str(error)] = None
        if self.kept.rows is not None:
            built.append(CoverageScorer(Likeness(self.kept.rows, self.kept.width)))
        if not built:
            raise CapabilityError("; ".join(lacking))
        return built, list(lacking)

    def _scorer(self, name: str, *, progress: bool, cache: bool) -> Scorer:
        if name == "meaning":
            return self._meaning(progress=progress, cache=cache)
        with progress_report(f"counting {name}", show=progress) as advance:
            sources, known = self._sources or [""], self.kept.terms
            terms = TfIdf(name, sources, cache=cache, progress=advance, known=known)
        known[terms.key] = terms.arrays
        return TermScorer(name, terms)

    def _meaning(self, *, progress: bool, cache: bool) -> MeaningScorer:
        rt = default_runtime() if self._runtime is None else self._runtime
        known = self.kept.embeddings
        model = self._model
        if model is None and known is not None and Path(known.model).is_dir():
            model = known.model
        try:
            if self._embedder is not None:
                embedder = self._embedder()
            else:
                embedder = Embedder(model, cache=cache, runtime=rt)
        except CapabilityError as error:
            if known is None or self._model is not None:
                raise
            return MeaningScorer(known.vectors, _lacking(error))
        if not self._sources:
            return MeaningScorer(np.zeros((1, 1), np.float32), lambda _: np.zeros(1))
        if known is None or known.settings != embedder.settings:
            with progress_report("embedding", show=progress) as advance:
                vectors = embedder.embed(self._sources, progress=advance)
            known = StoredVectors(vectors, str(embedder.folder), embedder.settings)
        self.kept.embeddings = known
        transform = None
        if self._root is not None:
            active = active_adaptation(self._root, embedder.identity, rt)
            self.adaptation, transform, self.notes = active
        return MeaningScorer(
            known.vectors,
            embedder.embed_query,
            transform=transform,
            cache=cache,
        )


def embedder_in_background(
    model: str | Path | SentenceEncoder | None, runtime: Runtime | None, *, cache: bool
) -> Callable[[], Embedder]:
    """Start to make what embeds; return what waits for it, and raises what making it raised.

    Most of its time goes to digests of files, which leave the interpreter to other threads.
    """
    pool = ThreadPoolExecutor(1)
    made = pool.submit(Embedder, model, cache=cache, runtime=runtime)
    pool.shutdown(wait=False)
    return made.result


def _lacking(error: CapabilityError) -> Callable[[str], NoReturn]:
    """Return what embeds a text where the model is not there: nothing."""

    def embed(_: str) -> NoReturn:
        raise error

    return embed
