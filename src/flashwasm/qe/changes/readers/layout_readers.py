"""Files that may notice where code stands in a file: by the text of sources or by line numbers."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.qe.changes.imports.project_files import text_of
from flashwasm.qe.changes.known_names import LINE_LIBRARIES, PROCESS_NAMES
from flashwasm.qe.changes.readers.source_readers import LISTS, PLACES, source_readers

if TYPE_CHECKING:
    from flashwasm.qe.changes.imports.import_graph import ImportGraph

__all__ = ["LayoutReaders"]

# Names that show the text of code, the numbers of its lines, or its code object.
_INSPECTS = re.compile(
    r"getsource|get_source|findsource|getcomments|getframeinfo|get(?:out|inn)erframes|linecache"
    r"|\binspect\.(?:stack|trace)\b|lineno|_lasti\b|co_(?:filename|line|lnotab|positions)"
    r"|__code__(?!\.co_\w)|spec\w*(?:\([^)]*\))?\.origin\b|(?<![\w.])help\(|\bpydoc\b"
    # Tracebacks as text, and reports with lines.
    r"|(?:format|print)_(?:exc|exception|list|tb|stack)\b|TracebackException|extract_(?:stack|tb)"
    r"|faulthandler|cProfile|pstats|tracemalloc|settrace|setprofile|sys\.monitoring"
    r"|\b(?:import|from) dis\b|\bmarshal\.|import marshal|py_compile"
    # Python shows some warnings once for each line.
    r"|catch_warnings\([^)]*record"
)
# Libraries that do the same for their users.
_LIBRARIES = re.compile(
    rf"(?:from|import)[ \t]+(?:{'|'.join(LINE_LIBRARIES)})\b"
    r"|RichHandler|rich\.traceback|torch\.jit|@jit\.script|CallsiteParameter"
)
# Further signs in tests: they expect a line number or a traceback in a text.
_EXPECTS = re.compile(r"\bline \d|traceback|caplog\.text|getrepr|longrepr|\\\.py\b|:\\d")
# Functions that list folders or start programs, and expressions for the place of the project.
_LISTS = re.compile(rf"{LISTS.pattern}|\b(?:{'|'.join(sorted(PROCESS_NAMES))}|os\.system)\b")
_PLACES = rf"{PLACES.pattern}|__path__"
# A file that reads itself uses ``__file__`` for more than the folder that it is in.
_OWN_FOLDER = re.compile(
    r"dirname\(\s*(?:[\w.]*path\(\s*)?__file__|\bPath\(\s*__file__\s*\)(?:\.\w+\(\))*\.parent"
)


class LayoutReaders:
    """The files of a project that may notice a change of comments and layout in another file.

    Parameters
    ----------
    graph : ImportGraph
        Imports of the project.
    """

    def __init__(self, graph: ImportGraph) -> None:
        self._graph = graph
        self._texts = {file: text_of(file) for file in graph.explored}

    def of(self, changed: Path) -> set[Path]:
        """Return the files that may notice a change of comments and layout in a file.

        Such a file may read the changed file as text, or examines sources, tracebacks or the
        numbers of lines. A file that names the folder of the changed file counts as well if it uses
        one that lists folders or starts programs. The files that import such a file are included.

        Parameters
        ----------
        changed : pathlib.Path
            The changed file.
        """
        readers = source_readers(changed, self._texts, self._graph.root)
        if "__file__" in _OWN_FOLDER.sub("", self._texts.get(changed, "")):
            readers.add(changed)
        root = self._graph.root
        folders = changed.relative_to(root).parts[:-1] if changed.is_relative_to(root) else ()
        names = [_PLACES, *(rf"[\"'/]{re.escape(folder)}[\"'/]" for folder in folders)]
        naming = self._graph.closure(self._with(re.compile("|".join(names))))
        return self._graph.closure(readers) | self._examining | (self._listing & naming)

    @cached_property
    def _examining(self) -> set[Path]:
        """The files that examine sources or lines, that start programs, or that import one."""
        found = self._with(_INSPECTS) | self._with(_LIBRARIES)
        found |= {file for file in self._with(_EXPECTS) if self._graph.is_beside_tests(file)}
        return self._graph.closure(found | self._graph.processes)

    @cached_property
    def _listing(self) -> set[Path]:
        """The files that list folders or start programs, and those that import one."""
        return self._graph.closure(self._with(_LISTS))

    def _with(self, pattern: re.Pattern[str]) -> set[Path]:
        """Return the files with a text that a pattern matches."""
        return {file for file, text in self._texts.items() if pattern.search(text)}
