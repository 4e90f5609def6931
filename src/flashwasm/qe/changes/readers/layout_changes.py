"""The changed files of a diff in which only comments and layout change."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flashwasm.qe.changes.diffs.file_versions import file_versions
from flashwasm.qe.changes.diffs.same_code import same_code
from flashwasm.qe.changes.known_names import LAYOUT_CHECKERS
from flashwasm.qe.suites.pytest_settings import settings_text

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.changes.imports.import_graph import ImportGraph

__all__ = ["layout_changes"]

# Settings of pytest by which plugins read the comments of each file, or that name a line.
_READING = re.compile(
    rf"--(?:{'|'.join(LAYOUT_CHECKERS)})\b"
    r"|:\d+[ \t]*(?:[\"']|\\n)"
)
# Hypothesis chooses examples by the text of a test.
_BY_TEXT = re.compile(r"\bhypothesis\b")


def layout_changes(changes: Sequence[ChangedFile], graph: ImportGraph, rootdir: Path) -> list[str]:
    """Return the paths in a diff of the Python files that stay the same program.

    Of these files, the diff changes comments and layout only.

    A file is left out if it is not as the diff leaves it, if tests use it as data, or if a setting
    of pytest loads a plugin that reads comments.

    Parameters
    ----------
    changes : sequence of ChangedFile
        All changed files.
    graph : ImportGraph
        Imports of the project.
    rootdir : pathlib.Path
        pytest's rootdir.
    """
    times = Counter(path for one in changes for path in {one.path, one.old_path})
    # The diff of several commits may change a file twice, and the file is the result of both.
    single = [one for one in changes if one.path == one.old_path and times[one.path] == 1]
    found = [one.path for one in single if _is_layout(one, graph)]
    return [] if found and _READING.search(settings_text(rootdir)) else found


def _is_layout(change: ChangedFile, graph: ImportGraph) -> bool:
    """Return True if the change of a file surely alters nothing but comments and layout."""
    path = PurePosixPath(change.path)
    if path.suffix != ".py" or path.name == "setup.py" or not change.lines:
        return False
    files = graph.find(change.path)
    file = next(iter(files))
    # A file that no test imports may be data.
    if len(set(map(os.path.realpath, files))) > 1 or files.isdisjoint(graph.explored):
        return False
    versions = file_versions(file, change)
    if versions is None or not same_code(versions.before, versions.after):
        return False
    return not (graph.is_beside_tests(file) and _BY_TEXT.search(versions.after))
