"""The text of a file before and after a change, from its current text and the diff."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile

__all__ = ["FileVersions", "file_versions"]


@dataclass(frozen=True)
class FileVersions:
    """The text of a file before and after a change, and the lines that both have.

    Parameters
    ----------
    before, after : str
        The texts.
    old_of : dict of int to int
        Number before the change of each unchanged line, by its number after the change.
    """

    before: str
    after: str
    old_of: dict[int, int]

    def place_of(self, line: int) -> int:
        """Return the position of an added line as a line number before the change.

        This is the number of the line that follows the nearest unchanged line above. For a changed
        line, it is the number of the line that it replaces.

        Parameters
        ----------
        line : int
            Number of the line after the change.
        """
        above = next((self.old_of[n] for n in range(line, 0, -1) if n in self.old_of), 0)
        return above + 1

    def new_neighbours(self, lines: Iterable[int]) -> set[int]:
        """Return the lines after the change between which lines were removed.

        Parameters
        ----------
        lines : iterable of int
            Numbers of removed lines before the change.
        """
        new_of = {old: new for new, old in self.old_of.items()}
        found: set[int] = set()
        for line in lines:
            above = next((new_of[n] for n in range(line, 0, -1) if n in new_of), 0)
            found |= {above, above + 1}
        return found


def file_versions(path: Path, change: ChangedFile) -> FileVersions | None:
    """Return a file before and after its change.

    The current file may be the one before or after the change. Return None if it is neither, or if
    this is ambiguous.

    Parameters
    ----------
    path : pathlib.Path
        The file. A missing file counts as empty.
    change : ChangedFile
        The change, as `read_diff` returned it.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        text = ""
    except OSError:
        return None
    present = text.replace("\r\n", "\n").split("\n")
    pairs = [(old, new) for old, new, _ in change.lines]
    texts = [line for _, _, line in change.lines]
    other = _other_side(present, [new for _, new in pairs], [old for old, _ in pairs], texts)
    changed = other and FileVersions(other.text, "\n".join(present), other.numbers)
    if changed is not None and change.added:
        return changed
    other = _other_side(present, [old for old, _ in pairs], [new for _, new in pairs], texts)
    if other is None:
        return changed
    if changed is not None:
        # Lines were only removed, and the file has such lines in their place.
        return None
    old_of = {new: old for old, new in other.numbers.items()}
    return FileVersions("\n".join(present), other.text, old_of)


class _Side(NamedTuple):
    """The text of a file on one side of a diff, and its line numbers by those of the other side."""

    text: str
    numbers: dict[int, int]


def _other_side(
    lines: list[str], here: list[int | None], there: list[int | None], texts: list[str]
) -> _Side | None:
    """Return the other side of a diff; None if the file is not this side of the diff.

    Parameters
    ----------
    lines : list of str
        Lines of the file.
    here, there : list of int or None
        Number of each line of the diff in this file, and on the other side; None if it is absent.
    texts : list of str
        Text of each line of the diff.
    """
    shown = {number: text for number, text in zip(here, texts, strict=True) if number is not None}
    if any(number > len(lines) or lines[number - 1] != text for number, text in shown.items()):
        return None
    only_here = {a for a, b in zip(here, there, strict=True) if a is not None and b is None}
    only_there = {
        b: text
        for a, b, text in zip(here, there, texts, strict=True)
        if a is None and b is not None
    }
    kept = [number for number in range(1, len(lines) + 1) if number not in only_here]
    total = len(kept) + len(only_there)
    if any(number > total for number in only_there):
        return None
    numbers = [number for number in range(1, total + 1) if number not in only_there]
    both = dict(zip(kept, numbers, strict=True))
    found = only_there | {number: lines[own - 1] for own, number in both.items()}
    return _Side("\n".join(found[number] for number in range(1, total + 1)), both)
