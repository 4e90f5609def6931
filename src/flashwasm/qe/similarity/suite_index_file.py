"""The file format of `SuiteIndex.save`: a suite, and the data of its scorers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from flashwasm.qe.index_files.stored_index import (
    SUITE_KIND,
    StoredIndex,
    json_section,
    row_sections,
)
from flashwasm.qe.scoring.scorers import CoverageScorer
from flashwasm.qe.similarity.scorer_builder import ALL_SCORERS
from flashwasm.qe.similarity.stored_scorers import (
    SuiteScorerData,
    read_embeddings,
    read_tfidf,
    tfidf_sections,
)
from flashwasm.qe.suites.source_files import Skipped
from flashwasm.qe.suites.suite import CollectedTest, Suite
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container

__all__ = ["read_suite", "write_suite"]


def write_suite(path: Path, suite: Suite, scorers: list[str], data: SuiteScorerData) -> None:
    """Write a suite, the names of its scorers, and their data."""
    parameters: dict[str, Any] = {
        "tests": len(suite.tests),
        # A test that several classes inherit has several node ids.
        "nodeids": sum(1 + len(test.also) for test in suite.tests),
        "scorers": scorers,
    }
    document = {
        "root": str(suite.root),
        "path": str(suite.path),
        "tests": [[t.nodeid, str(t.path), t.source, t.line, list(t.also)] for t in suite.tests],
        "names": [test.name for test in suite.tests],
        "skipped": [[str(one.path), one.reason] for one in suite.skipped],
        "digests": [[str(file), digest] for file, digest in suite.digests.items()],
    }
    parameters["terms"] = list(data.terms)
    sections = {"suite": json_section(document), **tfidf_sections(data.terms)}
    if data.embeddings is not None:
        parameters |= {"model": data.embeddings.model, "settings": data.embeddings.settings}
        sections["embeddings"] = data.embeddings.vectors
    if data.rows is not None:
        parameters["width"] = data.width
        sections |= row_sections("coverage", data.rows)
    write_container(path, Container(SUITE_KIND, "", "float32", parameters, sections))


def read_suite(path: Path) -> tuple[Suite, list[str], SuiteScorerData]:
    """Read the arguments of `write_suite` from a file; raise CorruptFileError if damaged."""
    file = StoredIndex(path, SUITE_KIND)
    suite = _suite(file)
    count = len(suite.tests)
    # An empty suite has the terms of one empty text.
    data = SuiteScorerData(read_tfidf(file, max(count, 1)), read_embeddings(file, count))
    if file.has("coverage"):
        data.width = file.number("width", 0, 2**62)
        data.rows = file.rows("coverage", count, data.width)
    scorers = file.strings("scorers", file.parameters.get("scorers"))
    if not scorers or set(scorers).difference(ALL_SCORERS, [CoverageScorer.name]):
        file.refuse(f"scorers is {scorers!r:.80}")
    return suite, scorers, data


def _suite(file: StoredIndex) -> Suite:
    """Return the suite in a file, or raise CorruptFileError."""
    document = file.document("suite")
    try:
        tests = [
            CollectedTest(nodeid, Path(path), int(line), source, tuple(also))
            for (*texts, line, also) in document["tests"]
            for nodeid, path, source, *also in [file.strings("a test", [*texts, *also])]
        ]
        # Files of earlier versions contain no names.
        names = file.strings("names", document.get("names", [""] * len(tests)))
        tests = [replace(test, name=name) for test, name in zip(tests, names, strict=True)]
        root, path = file.strings("the suite", [document["root"], document["path"]])
        skipped = file.pairs("skipped", document["skipped"])
        digests = file.pairs("digests", document["digests"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        file.refuse(f"section 'suite' does not describe a suite: {error}")
    return Suite(
        Path(root),
        tests,
        [Skipped(Path(one), reason) for one, reason in skipped],
        Path(path),
        {Path(one): digest for one, digest in digests},
    )
