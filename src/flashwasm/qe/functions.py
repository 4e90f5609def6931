"""The functions of a program, and those that words describe."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.arrays import positive_int
from flashwasm.encoder.progress import progress_report
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.qe.embeddings import Embedder
from flashwasm.qe.function_file import (
    FunctionSource,
    KeptFunctions,
    absolute,
    program_files,
    read_functions,
    write_functions,
)
from flashwasm.qe.scorers import MeaningScorer, Scorer, TermScorer
from flashwasm.qe.sources import LARGEST_SOURCE, file_digest
from flashwasm.qe.suite import Skipped
from flashwasm.qe.suite_file import StoredVectors
from flashwasm.qe.tfidf import TfIdf

if TYPE_CHECKING:
    from flashwasm.encoder import SentenceEncoder
    from flashwasm.runtime import Runtime

__all__ = ["FunctionIndex", "FunctionMatch", "FunctionSource", "collect_functions"]

# Descriptions that say where words lie among embeddings: their mean is steady long before this.
_DESCRIPTIONS = 200


@dataclass(frozen=True)
class FunctionMatch:
    """A function that words describe, and how well: a cosine."""

    function: FunctionSource
    score: float


def collect_functions(
    path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> tuple[list[FunctionSource], list[Skipped]]:
    """Find the functions of a program by parsing, its tests left out.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder, or one file.
    progress : callable, optional
        Called with the number of files read and their total.
    """
    if not Path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    skipped: list[Skipped] = []
    files = program_files(path, skipped)
    functions: list[FunctionSource] = []
    for done, file in enumerate(files):
        reason = _read(file, functions)
        if reason:
            skipped.append(Skipped(file, reason))
        if progress is not None:
            progress(done + 1, len(files))
    return functions, skipped


def _read(file: Path, functions: list[FunctionSource]) -> str:
    """Add a file's functions; return why it could not be read."""
    try:
        if not file.is_file():
            return "not a regular file"
        if file.stat().st_size > LARGEST_SOURCE:
            return f"larger than {LARGEST_SOURCE >> 20} MiB"
        data = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
        text = data.decode("utf-8-sig", "replace").splitlines()
    except SyntaxError as error:
        return f"not Python: {error.msg}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"not Python: {error}"
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        node, scope = pending.pop()
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = f"{scope}{child.name}."
                source = "\n".join(text[child.lineno - 1 : child.end_lineno])
                description = (ast.get_docstring(child) or "").partition("\n\n")[0]
                name = f"{scope}{child.name}"
                functions.append(FunctionSource(name, file, child.lineno, source, description))
            elif isinstance(child, ast.ClassDef):
                inner = f"{scope}{child.name}."
            pending.append((child, inner))
    return ""


def _descriptions(functions: list[FunctionSource]) -> list[str]:
    """Return the first sentences of docstrings, evenly over the program: how its people put it."""
    found = [function.description for function in functions if function.description]
    return found[:: max(1, len(found) // _DESCRIPTIONS)][:_DESCRIPTIONS]


class FunctionIndex:
    """The functions of a program, ready to be searched. Made by `FunctionIndex.build`.

    Parameters
    ----------
    functions : list of FunctionSource
        The functions.
    skipped : list of Skipped
        Files that could not be read.
    scorer : Scorer or None
        What compares them with words; None where there are none.
    missing : list of str
        What would compare them better but is not installed.
    kept : KeptFunctions, optional
        Their files and what the scorer was made of, for `save`.
    """

    def __init__(
        self,
        functions: list[FunctionSource],
        skipped: list[Skipped],
        scorer: Scorer | None,
        missing: list[str],
        kept: KeptFunctions | None = None,
    ) -> None:
        self.functions = functions
        self.skipped = skipped
        self.missing = missing
        self.scorer = scorer.name if scorer is not None else None
        self._scorer = scorer
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
        """Collect functions and embed their sources; without the model their words are counted.

        Parameters are those of `SuiteIndex.build`. Words and programs are centred each by their
        own mean, that of words being estimated from the program's docstrings. A sum with counted
        words would find less than the model alone, as measured.
        """
        files = {file: file_digest(file) for file in program_files(path, [])}
        with progress_report("reading", show=progress) as advance:
            functions, skipped = collect_functions(path, progress=advance)
        kept = KeptFunctions(absolute(path), files, {}, None, None)
        sources = [function.source for function in functions]
        if not sources:
            return cls([], skipped, None, [], kept)
        try:
            embedder = Embedder(model, cache=cache, prepared=False, runtime=runtime)
        except CapabilityError as error:
            if model is not None:
                raise
            terms = TfIdf("identifiers", sources, cache=cache)
            kept = replace(kept, terms={terms.key: terms.arrays})
            return cls(functions, skipped, TermScorer("identifiers", terms), [str(error)], kept)
        described = _descriptions(functions)
        with progress_report("embedding", show=progress) as advance:
            vectors = embedder.embed([*sources, *described], progress=advance)
        centre = vectors[len(sources) :].mean(axis=0) if described else None
        vectors = vectors[: len(sources)]
        scorer = MeaningScorer(vectors, lambda text: embedder.embed([text])[0], centre)
        embedded = StoredVectors(vectors, str(embedder.folder), embedder.settings)
        kept = replace(kept, embeddings=embedded, centre=centre)
        return cls(functions, skipped, scorer, [], kept)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: str | Path | SentenceEncoder | None = None,
        runtime: Runtime | None = None,
    ) -> FunctionIndex:
        """Read what `save` wrote; CorruptIndexError says what is wrong with any other file.

        Parameters are those of `build`. Words are embedded by the file's model, so another one, or
        another release of it, is refused with CapabilityError.
        """
        functions, skipped, kept = read_functions(Path(path))
        scorer: Scorer | None = None
        if kept.embeddings is not None:
            known = kept.embeddings
            folder = model or (known.model if Path(known.model).is_dir() else None)
            embedder = Embedder(folder, prepared=False, runtime=runtime)
            if embedder.settings != known.settings:
                raise CapabilityError(
                    f"{path} was made with another model or release than {embedder.folder}; "
                    "build it again with: flashwasm index build functions"
                )
            scorer = MeaningScorer(
                known.vectors, lambda text: embedder.embed([text])[0], kept.centre
            )
        elif functions:
            sources = [function.source for function in functions]
            scorer = TermScorer("identifiers", TfIdf("identifiers", sources, known=kept.terms))
        return cls(functions, skipped, scorer, [], kept)

    def save(self, path: str | Path) -> None:
        """Write the functions and what compares them to one file, whole or not at all."""
        write_functions(Path(path), self.functions, self.skipped, self._kept)

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since they were read."""
        return self._kept.changes()

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
        scores = None if self._scorer is None else self._scorer.scores(words)
        if scores is None:
            return []
        order = np.argsort(-scores, kind="stable")[:k]
        return [FunctionMatch(self.functions[i], float(scores[i])) for i in order]
