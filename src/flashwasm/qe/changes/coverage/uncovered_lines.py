"""The lines of a change that no test ran, with their numbers after the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.qe.changes.diffs.lines_after import LinesAfter

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile
    from flashwasm.qe.changes.functions.touched_functions import TouchedFunctions

__all__ = ["uncovered_lines"]


def uncovered_lines(
    change: ChangedFile, touched: TouchedFunctions, ran: set[int], without_callers: list[list[int]]
) -> list[int]:
    """Return the changed lines that no test ran, with their numbers after the change.

    Parameters
    ----------
    change : ChangedFile
        The change of one file.
    touched : TouchedFunctions
        Its functions.
    ran : set of int
        Lines that tests ran, or that ran at import, with their numbers before the change.
    without_callers : list of list of int
        Changed lines of each function that no test ran, with their numbers after the change.
    """
    after = LinesAfter(change)
    texts = {after(line): text for line, text in change.removed.items()} | change.added
    found = {line for lines in (*without_callers, touched.new) for line in lines}
    # coverage.py records some lines of a statement, such as the first.
    found |= {after(n) for n, lines in touched.statements.items() if ran.isdisjoint(lines)}
    return sorted(line for line in found if _holds_code(texts[line]))


def _holds_code(line: str) -> bool:
    """Return True if a line is neither empty nor a comment."""
    text = line.strip()
    return bool(text) and not text.startswith("#")
