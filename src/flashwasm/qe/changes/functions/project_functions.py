"""Functions of all files of a project that may keep results for later callers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flashwasm.qe.changes.functions.kept_state import KeptLines, Summary

if TYPE_CHECKING:
    from flashwasm.qe.changes.functions.function_body import FunctionBody
    from flashwasm.qe.changes.functions.function_lines import FunctionLines

__all__ = ["ProjectFunctions"]


class ProjectFunctions:
    """The functions of several files, which may call each other.

    Each function is examined only when it is asked for, because a change concerns few of them.

    Parameters
    ----------
    files : iterable of FunctionLines
        The functions of each file.
    """

    def __init__(self, files: Iterable[FunctionLines]) -> None:
        self._files: dict[str, list[FunctionLines]] = defaultdict(list)
        for lines in files:
            for name in lines.names:
                self._files[name].append(lines)
        self._summaries: dict[str, Summary] = {}
        self._kept: dict[FunctionBody, KeptLines | None] = {}

    def kept_lines(self, file: FunctionLines, body: FunctionBody) -> KeptLines | None:
        """Return lines of a function that may keep results; None for any other function.

        Parameters
        ----------
        file : FunctionLines
            File of the function.
        body : FunctionBody
            One of its `uncached` functions.
        """
        if body not in self._kept:
            self._kept[body] = file.kept_lines(body, self._summary)
        return self._kept[body]

    def _summary(self, name: str) -> Summary:
        """Return what a call of the functions with a name, in any file, means to its caller."""
        if name not in self._summaries:
            found = [file.summary(name) for file in self._files.get(name, ())]
            self._summaries[name] = Summary(
                {place for one in found for place in one.fills},
                {place for one in found for place in one.results},
            )
        return self._summaries[name]
