"""Text tables that fit a width without truncating any cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

__all__ = ["TextTable", "wrapped"]

_GAP = "  "
# Indentation of the second and later lines of a row.
_INDENT = "    "
# Minimum width of a column of prose, and of the last column, unless their cells are narrower.
_LEAST_PROSE = 24


@dataclass(frozen=True)
class TextTable:
    r"""Rows under headings.

    If the columns do not fit side by side, a row has several lines, and so have the headings. Only
    prose is wrapped. Any other cell that is wider than its line goes on a line of its own and is
    not broken, so that a node id or a path can be copied from a terminal.

    Parameters
    ----------
    headings : sequence of str
        Heading of each column.
    rows : sequence of sequence of str
        Cells of each row.
    title : str, default ""
        Line above the headings.
    right : collection of str, default ()
        Headings of the columns that are aligned to the right.
    prose : collection of str, default ()
        Headings of the columns whose cells may be wrapped at spaces.

    Examples
    --------
    >>> rows = [("0.9", "test_a.py::test_add"), ("0.4", "test_graph.py::TestNodes::test_add")]
    >>> print("\n".join(TextTable(("score", "test"), rows).lines(40)))
    score  test
    0.9    test_a.py::test_add
    0.4
        test_graph.py::TestNodes::test_add
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    right: Collection[str] = ()
    prose: Collection[str] = ()

    def lines(
        self, width: int | None = None, *, style: Callable[[str], str] = str
    ) -> Iterator[str]:
        """Yield the lines of the table.

        Parameters
        ----------
        width : int, optional
            Width of the terminal in characters; None puts each row on one line.
        style : callable, optional
            Function to apply to the lines of the title and the headings.
        """
        for line in wrapped(self.title, width) if self.title else ():
            yield style(line)
        rows = [[_shown(cell) for cell in row] for row in self.rows]
        groups = self._groups(rows, width)
        for line in _row_lines(self.headings, groups, width, heading=True):
            yield style(line)
        for row in rows:
            yield from _row_lines(row, groups, width)

    def _groups(self, rows: Sequence[Sequence[str]], width: int | None) -> list[list[_Column]]:
        """Return the columns on each line of a row, from the first line on."""
        columns = [
            _Column.of(at, heading, [row[at] for row in rows], self)
            for at, heading in enumerate(self.headings)
        ]
        if width is None or _taken([column.widest for column in columns]) <= width:
            for column in columns:
                column.width = column.widest
            return [columns]
        groups: list[list[_Column]] = [[]]
        for column in columns:
            room = width - (len(_INDENT) if len(groups) > 1 else 0)
            if groups[-1] and _taken([*(c.width for c in groups[-1]), column.width]) > room:
                groups.append([])
            groups[-1].append(column)
        for number, group in enumerate(groups):
            spare = width - (len(_INDENT) if number else 0) - _taken([c.width for c in group])
            for column in group:
                # If a single column is too wide, it gets less width, so that its words are wrapped
                # earlier.
                more = min(spare, column.widest - column.width)
                column.width += more
                spare -= more
        return groups


@dataclass
class _Column:
    """One column of a table.

    Parameters
    ----------
    at : int
        Index of the column.
    widest : int
        Width of the heading and the cells without wrapping.
    width : int
        Width of the column, initially the minimum.
    right, prose : bool
        True if the column is aligned to the right; True if its cells may be wrapped.
    """

    at: int
    widest: int
    width: int
    right: bool
    prose: bool

    @classmethod
    def of(cls, at: int, heading: str, cells: Sequence[str], table: TextTable) -> _Column:
        """Return the column at an index of a table. Headings are always wrapped at spaces."""
        prose = heading in table.prose
        own = max(map(cell_len, cells), default=0)
        least = own
        # A cell of the last column that is too wide goes to the next line.
        if 0 < at == len(table.headings) - 1:
            least = min(own, _LEAST_PROSE)
        elif prose:
            least = max(map(_longest_word, cells), default=0)
            least = max(least, min(own, _LEAST_PROSE))
        least = max(least, _longest_word(heading))
        return cls(at, max(own, cell_len(heading)), least, heading in table.right, prose)

    def fits(self, cell: str) -> bool:
        """Return True if a cell fits into the column's width, after wrapping if it is prose."""
        return (_longest_word(cell) if self.prose else cell_len(cell)) <= self.width


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Return a text as lines that are wrapped at spaces.

    Parameters
    ----------
    text : str
        Text on one line. Spaces at its start are kept.
    width : int or None
        Maximum width of a line; a longer word is not broken. None does not wrap.
    indent : str, default ""
        Spaces before each line except the first.
    """
    if width is None or cell_len(text) <= width:
        return [text]
    first, *words = text.split() or [""]
    lines = [text[: len(text) - len(text.lstrip())] + first]
    for word in words:
        if cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(indent + word)
    return lines


def _row_lines(
    cells: Sequence[str],
    groups: Sequence[Sequence[_Column]],
    width: int | None,
    *,
    heading: bool = False,
) -> Iterator[str]:
    """Yield the lines of one row, or of the headings; groups without text have no line."""
    for number, group in enumerate(groups):
        indent = _INDENT if number else ""
        last = group[-1]
        beside = group if len(group) == 1 or heading or last.fits(cells[last.at]) else group[:-1]
        parts = [
            wrapped(cells[c.at], c.width) if c.prose or heading else [cells[c.at]] for c in beside
        ]
        for line in range(max(map(len, parts), default=0)):
            texts = [part[line] if line < len(part) else "" for part in parts]
            text = _GAP.join(
                _aligned(text, column) for text, column in zip(texts, beside, strict=True)
            ).rstrip()
            if text or len(groups) == 1:
                yield indent + text
        if beside is not group:
            text = f"{indent}{_INDENT}{cells[last.at]}"
            yield from wrapped(text, width, indent + _INDENT) if last.prose else [text]


def _longest_word(text: str) -> int:
    """Return the width of the longest word of a text."""
    return max(map(cell_len, text.split()), default=0)


def _aligned(text: str, column: _Column) -> str:
    """Return a text, padded with spaces to the width of its column."""
    blanks = " " * (column.width - cell_len(text))
    return blanks + text if column.right else text + blanks


def _taken(widths: Sequence[int]) -> int:
    """Return the total width of columns side by side."""
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _shown(cell: str) -> str:
    """Return a cell, with escapes for characters that would move the cursor."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cell
    )
