"""The functions of a program, and those that words describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.progress_bar import progress_report
from flashwasm.qe.functions.file import (
    FunctionSource,
    KeptFunctions,
    absolute,
    program_files,
    read_functions,
    write_functions,
)
from flashwasm.qe.functions.sources import collect_functions
from flashwasm.qe.scoring.embeddings import Embedder
from flashwasm.qe.scoring.preparation import prepare
from flashwasm.qe.scoring.scorers import MeaningScorer, Scorer, TermScorer, fused
from flashwasm.qe.scoring.tfidf import TfIdf
from flashwasm.qe.similarity.suite_file import StoredVectors
from flashwasm.qe.suites.sources import file_digest
from flashwasm.validation import positive_int

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.qe.suites.suite import Skipped
    from flashwasm.runtime.runtime import Runtime

__all__ = ["FunctionIndex", "FunctionMatch", "FunctionSource", "collect_functions"]

# Descriptions that say where words lie among embeddings: their mean is steady long before this.
_DESCRIPTIONS = 200


@dataclass(frozen=True)
class FunctionMatch:
    """A function that words describe.

    Parameters
    ----------
    function : FunctionSource
        The function.
    score : float
        Mean of the components' z-scores: standard deviations above the program's average.
    components : mapping of str to float
        Cosine by scorer, in [-1, 1].
    shared_words : list of str
        Words of the description that are in the function as well, in its names too.
    """

    function: FunctionSource
    score: float
    components: Mapping[str, float] = field(default_factory=dict)
    shared_words: list[str] = field(default_factory=list)


def _words_of_name(function: FunctionSource) -> str:
    """Return the words of a qualified name and its module: a summary that its author gave."""
    return prepare(f"{function.name} {function.path.stem}")


def _descriptions(functions: list[FunctionSource]) -> list[str]:
    """Return the first sentences of docstrings, evenly over the program: how its people put it."""
    found = [function.description for function in functions if function.description]
    return found[:: max(1, len(found) // _DESCRIPTIONS)][:_DESCRIPTIONS]


def _scorers(kept: KeptFunctions, embedder: Embedder, *, cache: bool) -> list[Scorer]:
    """Return what compares embedded sources and names with words."""
    assert kept.embeddings is not None  # noqa: S101 - they were embedded.
    sources, names = np.split(kept.embeddings.vectors, 2)
    return [
        MeaningScorer(part, embedder.embed_query, kept.centre, name=name, cache=cache)
        for name, part in (("meaning", sources), ("name", names))
    ]


class FunctionIndex:
    """The functions of a program, ready to be searched. Made by `FunctionIndex.build`.

    Parameters
    ----------
    functions : list of FunctionSource
        The functions.
    skipped : list of Skipped
        Files that could not be read.
    scorers : sequence of Scorer
        What compares them with words.
    missing : list of str
        What would compare them better but is not installed.
    kept : KeptFunctions, optional
        Their files and what the scorer was made of, for `save`.
    """

    def __init__(
        self,
        functions: list[FunctionSource],
        skipped: list[Skipped],
        scorers: Sequence[Scorer],
        missing: list[str],
        kept: KeptFunctions | None = None,
    ) -> None:
        self.functions = functions
        self.skipped = skipped
        self.missing = missing
        self.scorers = [scorer.name for scorer in scorers]
        self._scorers = list(scorers)
        self._kept = kept or KeptFunctions(Path(), {}, {}, None, None)

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
        """Collect functions and embed sources and names; without the model words are counted.

        Parameters are those of `SuiteIndex.build`. Words, sources and names are centred each by
        their own mean, that of words being estimated from the program's docstrings.
        """
        files = {file: file_digest(file) for file in program_files(path, [])}
        with progress_report("reading", show=progress) as advance:
            functions, skipped = collect_functions(path, progress=advance)
        kept = KeptFunctions(absolute(path), files, {}, None, None)
        return cls.of(
            functions,
            skipped,
            kept=kept,
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
        kept: KeptFunctions | None = None,
        model: str | Path | SentenceEncoder | None = None,
        progress: bool = False,
        cache: bool = True,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Prepare functions that were collected; parameters are those of `build`."""
        skipped = [] if skipped is None else skipped
        kept = kept or KeptFunctions(Path(), {}, {}, None, None)
        sources = [function.source for function in functions]
        if not sources:
            return cls([], skipped, [], [], kept)
        try:
            embedder = Embedder(model, cache=cache, prepared=False, runtime=runtime)
        except CapabilityError as error:
            if model is not None:
                raise
            return cls.lexical(functions, skipped, [str(error)], kept, cache=cache)
        names = [_words_of_name(function) for function in functions]
        described = _descriptions(functions)
        with progress_report("embedding", show=progress) as advance:
            vectors = embedder.embed([*sources, *names, *described], progress=advance)
        both = 2 * len(sources)
        centre = vectors[both:].mean(axis=0) if described else None
        embedded = StoredVectors(vectors[:both], str(embedder.folder), embedder.settings)
        kept = replace(kept, embeddings=embedded, centre=centre)
        return cls(functions, skipped, _scorers(kept, embedder, cache=cache), [], kept)

    @classmethod
    def lexical(
        cls,
        functions: list[FunctionSource],
        skipped: list[Skipped],
        missing: list[str],
        kept: KeptFunctions | None = None,
        *,
        cache: bool = True,
    ) -> FunctionIndex:
        """Count words of functions, at least one; what is missing to embed them is noted."""
        terms = TfIdf("identifiers", [function.source for function in functions], cache=cache)
        kept = kept or KeptFunctions(Path(), {}, {}, None, None)
        kept = replace(kept, terms={terms.key: terms.arrays})
        return cls(functions, skipped, [TermScorer("identifiers", terms)], missing, kept)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Read what `save` wrote; CorruptFileError says what is wrong with any other file.

        Parameters are those of `build`. Words are embedded by the file's model, so another one, or
        another release of it, is refused with CapabilityError.
        """
        functions, skipped, kept = read_functions(Path(path))
        scorers: list[Scorer] = []
        if kept.embeddings is not None:
            known = kept.embeddings
            folder = model or (known.model if Path(known.model).is_dir() else None)
            embedder = Embedder(folder, prepared=False, runtime=runtime)
            if embedder.settings != known.settings:
                raise CapabilityError(
                    f"{path} was made with another model or release than {embedder.folder}; "
                    "build it again with: flashwasm index build functions"
                )
            scorers = _scorers(kept, embedder, cache=True)
        elif functions:
            sources = [function.source for function in functions]
            terms = TfIdf("identifiers", sources, known=kept.terms)
            scorers = [TermScorer("identifiers", terms)]
        return cls(functions, skipped, scorers, [], kept)

    def save(self, path: str | Path) -> None:
        """Write the functions and what compares them to one file, whole or not at all."""
        write_functions(Path(path), self.functions, self.skipped, self._kept)

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since they were read."""
        return self._kept.changes()

    def components(self, words: str) -> dict[str, npt.NDArray[Any]]:
        """Return each scorer's scores of all functions with a description."""
        scored = {scorer.name: scorer.scores(words) for scorer in self._scorers}
        return {name: scores for name, scores in scored.items() if scores is not None}

    def search(self, words: str, k: int = 10) -> list[FunctionMatch]:
        """Return the functions that words describe best.

        Parameters
        ----------
        words : str
            A description.
        k : int, default 10
            How many, at most.
        """
        positive_int(k, "k")
        if not words.strip():
            raise ShapeError("words are empty; expected a description")
        components = self.components(words)
        if not components:
            return []
        scores = fused(components)
        asked = prepare(words).split()
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            FunctionMatch(
                self.functions[i],
                float(scores[i]),
                {name: float(own[i]) for name, own in components.items()},
                [word for word in asked if word in prepare(self.functions[i].source).split()],
            )
            for i in order
        ]
