"""The index of a program's functions, to find functions by a description in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CapabilityError
from flashwasm.object_checks import instance_of
from flashwasm.progress_bar import progress_report
from flashwasm.qe.functions.function_collection import (
    FunctionSource,
    collect_functions,
    program_files,
    some_descriptions,
    words_of_name,
)
from flashwasm.qe.functions.function_index_file import (
    FunctionScorerData,
    read_functions,
    write_functions,
)
from flashwasm.qe.functions.function_match import FunctionMatch
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.scoring.score_fusion import fused, shares_of_fused
from flashwasm.qe.scoring.scorers import MeaningScorer, ScoredIndex, Scorer, TermScorer
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix
from flashwasm.qe.scoring.word_extraction import checked_words, extract_words
from flashwasm.qe.similarity.stored_scorers import StoredEmbeddings
from flashwasm.qe.suites.file_digests import file_digest
from flashwasm.qe.suites.source_files import absolute_path
from flashwasm.runtime.runtime import Runtime
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import flag, positive_int

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.suites.source_files import Skipped

__all__ = ["FunctionIndex"]

Array = npt.NDArray[Any]


class FunctionIndex(ScoredIndex, items="functions"):
    """A searchable index of a program's functions. Create it with `build` or `load`.

    Parameters
    ----------
    functions : list of FunctionSource
        The functions.
    skipped : list of Skipped
        Files that could not be read.
    scorers : sequence of Scorer
        Scorers that compare the functions with a description.
    missing : list of str
        Packages or models that further scorers require, and how to install them.
    data : FunctionScorerData, optional
        Source files of the functions, and the data of the scorers, for `save`.
    """

    def __init__(
        self,
        functions: list[FunctionSource],
        skipped: list[Skipped],
        scorers: Sequence[Scorer],
        missing: list[str],
        data: FunctionScorerData | None = None,
    ) -> None:
        self.functions = functions
        self.skipped = skipped
        self.missing = missing
        self.scorers = [scorer.name for scorer in scorers]
        self._scorers = list(scorers)
        self._data = data or FunctionScorerData()

    @classmethod
    def build(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Collect the functions of a program, and embed their sources and their names.

        If the default model is not installed, the index compares identifiers instead. Embeddings of
        sources, of names and of queries are each centred by their mean. The mean of the queries is
        estimated from the program's docstrings.

        Parameters
        ----------
        path : str or pathlib.Path
            A folder, or one file. Test files are left out, and no file is imported.
        model : str, pathlib.Path or SentenceEncoder, optional
            Name of an installed model, folder of a model, or an encoder; None is the default model.
        progress : bool, default False
            True to show progress on stderr.
        cache : bool, default True
            True to keep embeddings and terms in the user's cache folder.
        runtime : Runtime, optional
            Runtime that embeds and compares. None means the default runtime.

        Raises
        ------
        CapabilityError
            If ``model`` is given but is not installed.
        ShapeError
            If there is no such path.
        """
        flag(cache, "cache")
        instance_of(runtime, (Runtime, NoneType), "runtime")
        digests = {file: file_digest(file) for file in program_files(checked_path(path), [])}
        with progress_report("reading", show=flag(progress, "progress")) as advance:
            functions, skipped = collect_functions(path, progress=advance)
        return cls.of(
            functions,
            skipped,
            data=FunctionScorerData(absolute_path(path), digests),
            model=model,
            progress=progress,
            cache=cache,
            runtime=runtime,
        )

    @classmethod
    def of(
        cls,
        functions: list[FunctionSource],
        skipped: list[Skipped] | None = None,
        *,
        data: FunctionScorerData | None = None,
        model: str | Path | SentenceEncoder | None = None,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Return an index of collected functions.

        Parameters
        ----------
        functions : list of FunctionSource
            The functions.
        skipped : list of Skipped, optional
            Files that could not be read; none when None.
        data : FunctionScorerData, optional
            Origin of the functions, for `save`.
        model, progress, cache, runtime
            As for `build`.
        """
        skipped = [] if skipped is None else skipped
        data = data or FunctionScorerData()
        sources = [function.source for function in functions]
        if not sources:
            return cls([], skipped, [], [], data)
        names = [words_of_name(function) for function in functions]
        described = some_descriptions(functions)
        try:
            embedder = Embedder(model, cache=cache, words_only=False, runtime=runtime)
            with progress_report("embedding", show=progress) as advance:
                vectors = embedder.embed([*sources, *names, *described], progress=advance)
        except CapabilityError as error:
            # The model may be installed, but not a package that it requires.
            if model is not None:
                raise
            missing = [str(error)]
            return cls.lexical(functions, skipped, missing, data, cache=cache, progress=progress)
        both = 2 * len(sources)
        centre = vectors[both:].mean(axis=0) if described else None
        embedded = StoredEmbeddings(vectors[:both], str(embedder.folder), embedder.settings)
        data = replace(data, embeddings=embedded, centre=centre)
        scorers = _scorers(embedded.vectors, centre, embedder, cache=cache, runtime=runtime)
        return cls(functions, skipped, scorers, [], data)

    @classmethod
    def lexical(
        cls,
        functions: list[FunctionSource],
        skipped: list[Skipped],
        missing: list[str],
        data: FunctionScorerData | None = None,
        *,
        cache: bool = True,
        progress: bool = False,
    ) -> FunctionIndex:
        """Return an index that compares identifiers only.

        ``functions`` has at least one function. ``skipped`` are the files that were not read,
        ``missing`` is the reason for the lack of embeddings, and ``data`` is the origin of the
        functions. ``cache`` stores the counts of terms in the user's cache folder; ``progress``
        shows progress on stderr.
        """
        sources = [one.source for one in functions]
        with progress_report("counting identifiers", show=progress) as advance:
            terms = TfIdfMatrix("identifiers", sources, cache=cache, progress=advance)
        data = replace(data or FunctionScorerData(), terms={terms.key: terms.arrays})
        return cls(functions, skipped, [TermScorer("identifiers", terms)], missing, data)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Load an index that `save` wrote. The program's source files are not read.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file.
        model : str, pathlib.Path or SentenceEncoder, optional
            Model that embeds queries; None is the model that embedded the functions.
        runtime : Runtime, optional
            Runtime that embeds and compares. None means the default runtime.

        Raises
        ------
        CorruptFileError
            If the file is damaged, or is not an index of functions.
        CapabilityError
            If the model is not installed, or the file was made with another model or release.
        OSError
            If the file cannot be read.
        """
        functions, skipped, data = read_functions(checked_path(path))
        scorers: list[Scorer] = []
        if data.embeddings is not None:
            known = data.embeddings
            folder = model or (known.model if Path(known.model).is_dir() else None)
            embedder = Embedder(folder, words_only=False, runtime=runtime)
            if embedder.settings != known.settings:
                raise CapabilityError(
                    f"{path} was made with another model or release than {embedder.folder}; "
                    "build it again with: flashwasm index build functions"
                )
            scorers = _scorers(known.vectors, data.centre, embedder, cache=True, runtime=runtime)
        elif functions:
            sources = [function.source for function in functions]
            terms = TfIdfMatrix("identifiers", sources, known=data.terms)
            scorers = [TermScorer("identifiers", terms)]
        return cls(functions, skipped, scorers, [], data)

    def save(self, path: str | Path) -> None:
        """Write the functions and the data of the scorers to one file, atomically."""
        write_functions(checked_path(path), self.functions, self.skipped, self._data)

    def changes(self) -> list[str]:
        """Return the source files that were changed, removed or added since the index was built."""
        return self._data.changes()

    def components(self, words: str) -> dict[str, Array]:
        """Return the scores ``(functions,)`` of each scorer for a description."""
        scored = {scorer.name: scorer.scores(words) for scorer in self._scorers}
        return {name: scores for name, scores in scored.items() if scores is not None}

    def search(self, words: str, k: int = 10) -> list[FunctionMatch]:
        """Return the functions that best match a description.

        Parameters
        ----------
        words : str
            Description of a function.
        k : int, default 10
            Maximum number of functions to return.

        Returns
        -------
        list of FunctionMatch
            The matches, with the highest score first.

        Raises
        ------
        ShapeError, DTypeError
            If there are no words, or they are not valid Unicode, or ``k`` is not positive.
        """
        positive_int(k, "k")
        components = self.components(checked_words(words))
        if not components:
            return []
        scores, shares = fused(components), shares_of_fused(components)
        asked = extract_words(words).split()
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            FunctionMatch(
                self.functions[i],
                float(scores[i]),
                {name: float(own[i]) for name, own in components.items()},
                [word for word in asked if word in extract_words(self.functions[i].source).split()],
                {name: float(own[i]) for name, own in shares.items()},
            )
            for i in order
        ]


def _scorers(
    vectors: Array,
    centre: Array | None,
    embedder: Embedder,
    *,
    cache: bool,
    runtime: Runtime | None,
) -> list[Scorer]:
    """Return the scorers for sources and names, whose embeddings are the halves of ``vectors``."""
    sources, names = np.split(vectors, 2)
    return [
        MeaningScorer(part, embedder.embed_query, centre, name=name, cache=cache, runtime=runtime)
        for name, part in (("meaning", sources), ("name", names))
    ]
