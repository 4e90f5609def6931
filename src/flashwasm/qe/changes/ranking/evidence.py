"""Evidence that a test belongs to a change: its kinds, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.progress_bar import progress_report
from flashwasm.qe.changes.imports.import_graph import graph_of
from flashwasm.qe.changes.ranking.bm25 import Bm25
from flashwasm.qe.changes.ranking.changed_definitions import (
    changed_definitions,
    distinctive_words,
    words_of_name,
)
from flashwasm.qe.changes.ranking.changed_words import shared_words
from flashwasm.qe.changes.ranking.co_change import CoChange
from flashwasm.qe.changes.ranking.line_history import shared_commits
from flashwasm.qe.changes.ranking.mentioned_names import MentionedNames
from flashwasm.qe.suites.source_files import is_test_file

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.changes.imports.import_graph import ImportGraph
    from flashwasm.qe.similarity.suite_index import SuiteIndex
    from flashwasm.qe.suites.suite import CollectedTest

__all__ = ["WEIGHTS", "change_text", "evidence_of", "weighted"]

Array = npt.NDArray[Any]
# Weights of the kinds of evidence, chosen by `bench/quality/evidence_weights.py` on the history of
# six projects, and rounded. docs/guide/tests-for-measurements.md shows their use on others.
WEIGHTS: Mapping[str, float] = {
    "text": 1.0,
    "meaning": 1.0,
    "words": 1.25,
    "names": 1.0,
    "file name": 0.5,
    "imports": 0.75,
    "co-change": 0.5,
    "history": 1.0,
}
# Number of characters of a diff's text that are compared with tests. A longer text is about so many
# things that it resembles no test in particular.
_LONGEST_TEXT = 20_000
# A changed name in a test's own name counts as so many mentions of it.
_IN_TITLE = 2


def evidence_of(
    index: SuiteIndex,
    changes: Sequence[ChangedFile],
    graph: ImportGraph | None = None,
    *,
    progress: bool = False,
) -> dict[str, Array]:
    """Return the strength of each kind of evidence for each test, higher for likelier tests.

    "text" is the similarity of the test's text to the change, and "meaning" the similarity of their
    embeddings. "words" is high if the test contains many words of one place that the change edits.
    "names" is high if the test, or a fixture of it, mentions a changed definition. "file name" is 1
    if the test's file is named after a changed file. "imports" is high if the test's file imports a
    changed file in few steps. "co-change" is high if the two files often changed together, and
    "history" if the commits that wrote the changed lines wrote much of the test. A kind that is not
    known, such as the last two without git, is absent or zero.

    Parameters
    ----------
    index : SuiteIndex
        Index of the suite.
    changes : sequence of ChangedFile
        Changed files.
    graph : ImportGraph, optional
        Imports of the project. None reads them.
    progress : bool, default False
        True to show progress on stderr.

    Returns
    -------
    dict of str to numpy.ndarray, shape (tests,)
        Strengths by kind, in the order of `WEIGHTS`.
    """
    graph = graph or graph_of(index.root, index.tests, changes)
    text = change_text(changes)
    alike = index.components(text) if index.tests and text.strip() else {}
    files = [test.path for test in index.tests]
    named = _named_after(files, changes)
    # Of different units, and so compared by their deviations.
    scores = {
        "text": alike.get("characters", alike.get("identifiers")),
        "meaning": alike.get("meaning"),
        "words": _words(index.tests, changes, graph.root),
        "names": _names(index.tests, changes, graph.root, progress=progress),
        "co-change": _co_change(files, changes, graph.root),
        "history": shared_commits(index.tests, changes, graph.root),
    }
    found = {kind: _z_scores(values) for kind, values in scores.items() if values is not None}
    found["file name"] = np.array([float(path in named) for path in files])
    found["imports"] = _imports(files, changes, graph)
    return {kind: found[kind] for kind in WEIGHTS if kind in found}


def weighted(strengths: Mapping[str, Array]) -> dict[str, Array]:
    """Return the share of each kind of evidence in the sum: its strength times its weight."""
    return {kind: WEIGHTS[kind] * strength for kind, strength in strengths.items()}


def change_text(changes: Sequence[ChangedFile]) -> str:
    """Return the text of a change that tests are compared with: file names and changed lines."""
    return "\n".join(f"{PurePosixPath(c.path).stem} {c.text}" for c in changes)[:_LONGEST_TEXT]


def _z_scores(values: Array) -> Array:
    """Return by how many standard deviations each value is above the mean; zeros if all are equal.

    So kinds of evidence of different units can be added.
    """
    # Of equal values even the rounding of their mean would count as a deviation.
    if not len(values) or np.ptp(values) == 0:
        return np.zeros(len(values))
    centred = values - values.mean(dtype=np.float64)
    return np.asarray(centred / values.std(dtype=np.float64), np.float64)


def _words(tests: Sequence[CollectedTest], changes: Sequence[ChangedFile], root: Path) -> Array:
    """Return for each test the highest z-score among those for the places of the change."""
    scores = [_z_scores(one) for one in shared_words(tests, changes, root)]
    return np.asarray(np.max(scores, axis=0))


def _names(
    tests: Sequence[CollectedTest], changes: Sequence[ChangedFile], root: Path, *, progress: bool
) -> Array:
    """Return BM25's score of each test for the names of the changed definitions.

    A name counts for more if few tests mention it, if a test mentions it often for its length, and
    if the words of the name stand in the test's own name.
    """
    words = {name: _joined_words(name) for name in sorted(changed_definitions(changes, root))}
    distinctive = distinctive_words(changes, root)
    mentioned = MentionedNames(root)
    found, lengths = [], []
    with progress_report("looking for names", show=progress) as advance:
        for row, test in enumerate(tests):
            advance(row, len(tests))
            direct, through = mentioned.directly(test), mentioned.through_fixtures(test)
            title = _joined_words(test.nodeid.partition("::")[2])
            times = {
                name: (direct[name] or name in through)
                + _IN_TITLE * (part != "__" and part in title)
                for name, part in words.items()
            }
            in_title = distinctive.intersection(title.split("_"))
            times |= {f"{word} in the title": 1 for word in in_title}
            found.append({name: number for name, number in times.items() if number})
            lengths.append(direct.total())
    terms = [*words, *(f"{word} in the title" for word in sorted(distinctive))]
    return Bm25(found, lengths).scores(dict.fromkeys(terms, 1.0))


def _joined_words(name: str) -> str:
    """Return the words of a name with an underscore before, between and after."""
    return f"_{'_'.join(words_of_name(name))}_"


def _named_after(files: Sequence[PurePath], changes: Sequence[ChangedFile]) -> dict[PurePath, str]:
    """Return the test files that are named after a changed file, with the path of that file.

    If several test files have such a name, only those are returned whose folders share the most
    names with the folders of the changed file.
    """
    named: dict[PurePath, str] = {}
    # A file that is renamed counts by both names.
    for name in dict.fromkeys(name for c in changes for name in (c.old_path, c.path)):
        path = PurePosixPath(name)
        if path.suffix != ".py" or is_test_file(path):
            continue
        stem = (path.parent.name if path.stem == "__init__" else path.stem).strip("_")
        names = {f"test_{stem}.py", f"{stem}_test.py"}
        # Number of folder names above the changed file that are above the test file as well.
        shared = {
            file: len(set(path.parent.parts) & set(file.parent.parts))
            for file in files
            if file.name in names
        }
        most = max(shared.values(), default=0)
        named.update({file: name for file, count in shared.items() if count == most})
    return named


def _imports(files: Sequence[Path], changes: Sequence[ChangedFile], graph: ImportGraph) -> Array:
    """Return for each test's file one over the number of imports up to a changed file, or 0."""
    steps: dict[Path, int] = {}
    for change in changes:
        if change.path.endswith(".py"):
            for start in (change.path, change.old_path):
                for file, count in graph.distances(graph.root / start).items():
                    steps[file] = min(count, steps.get(file, count))
    return np.array([1 / max(steps[file], 1) if file in steps else 0.0 for file in files])


def _co_change(files: Sequence[Path], changes: Sequence[ChangedFile], root: Path) -> Array:
    """Return for each test's file how often it changed together with a changed file."""
    inside = {
        file: file.relative_to(root).as_posix() for file in files if file.is_relative_to(root)
    }
    paths = {path for change in changes for path in (change.path, change.old_path)}
    likeness = CoChange(root).likeness(paths, set(inside.values()))
    return np.array([likeness[inside[file]] if file in inside else 0.0 for file in files])
