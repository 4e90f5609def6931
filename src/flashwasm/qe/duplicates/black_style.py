"""Formatting of suggested source in the style of Black and ``ruff format``."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Bracketed", "joined_lines", "line_length", "literal_layout", "render"]

_DEFAULT_LENGTH = 88
_INDENT = "    "
_LENGTH = re.compile(r"^line[-_]length\s*=\s*(\d{2,3})\s*(?:#.*)?$", re.MULTILINE)
_OPENING, _CLOSING = "([{", ")]}"


class Bracketed(NamedTuple):
    """Items in brackets, as in a call, a list or the signature of a function.

    Parameters
    ----------
    opening, closing : str
        Text up to and including the opening bracket, and from the closing bracket on.
    items : list of str or Bracketed
        Items between the brackets, without commas.
    is_open : bool
        True to always write each item on a separate line.
    """

    opening: str
    items: list[str | Bracketed]
    closing: str
    is_open: bool = False


def render(layout: str | Bracketed, indent: str, length: int, end: str = "") -> list[str]:
    """Return the lines of a layout.

    Parameters
    ----------
    layout : str or Bracketed
        The layout.
    indent : str
        Indentation of the first line.
    length : int
        Maximum number of characters of a line.
    end : str, default ""
        Text after the last line, such as a comma.
    """
    flat = _flat(layout)
    fits = flat is not None and len(indent) + len(flat) + len(end) <= length
    if isinstance(layout, str) or (fits and not layout.is_open):
        return [f"{indent}{layout if flat is None else flat}{end}"]
    inner = indent + _INDENT
    items = [_flat(item) for item in layout.items]
    if not layout.is_open and None not in items:
        one_line = ", ".join(map(str, items))
        if len(inner) + len(one_line) <= length and len(items) > 0:
            return [
                f"{indent}{layout.opening}",
                f"{inner}{one_line}",
                f"{indent}{layout.closing}{end}",
            ]
    lines = [f"{indent}{layout.opening}"]
    for item in layout.items:
        lines += render(item, inner, length, ",")
    return [*lines, f"{indent}{layout.closing}{end}"]


def literal_layout(source: str) -> str | Bracketed:
    """Return the layout of a literal; its text if it has comments or multi-line strings."""
    # In brackets, the end of a line does not end the literal.
    joined = list(_statements(f"({source})", keep_commas=False))
    if len(joined) != 1:
        return source
    text = joined[0][2][1:-1]
    node = ast.parse(text, mode="eval").body
    if text[0] not in _OPENING or text[-1] not in _CLOSING:
        return text
    # Black's magic trailing comma: with it, each item stays on a separate line.
    is_open = text[-2] == "," or text[-3:-1] == ", "
    if isinstance(node, (ast.List, ast.Set, ast.Tuple)) and node.elts:
        if isinstance(node, ast.Tuple) and len(node.elts) == 1:
            return text
        items = [literal_layout(_segment(text, item)) for item in node.elts]
        return Bracketed(text[0], items, text[-1], is_open)
    if isinstance(node, ast.Dict) and node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        written = [f"{_segment(text, k)}: {_segment(text, v)}" for k, v in pairs if k is not None]
        return Bracketed("{", list(written), "}", is_open)
    return text


def line_length(path: Path) -> int:
    """Return the line length in a project's settings, or else Black's default, 88."""
    for folder in path.parents:
        for name in ("ruff.toml", ".ruff.toml", "pyproject.toml"):
            file = folder / name
            if file.is_file():
                found = _LENGTH.search(file.read_text("utf-8", "replace"))
                if found or name == "pyproject.toml":
                    return int(found[1]) if found else _DEFAULT_LENGTH
    return _DEFAULT_LENGTH


def joined_lines(text: str, length: int, edited: Container[int]) -> str:
    """Join each edited statement that Black would write on one line, and return the source.

    These are statements in brackets that contain no comment, no multi-line string and no comma
    before the closing bracket.

    Parameters
    ----------
    text : str
        The source.
    length : int
        Maximum number of characters of a line.
    edited : container of int
        Edited lines, counted from 1. Statements without such a line stay unchanged.
    """
    lines = text.split("\n")
    for first, last, joined in reversed(list(_statements(text))):
        start = lines[first - 1]
        indent = start[: len(start) - len(start.lstrip())]
        is_edited = any(line in edited for line in range(first, last + 1))
        if last > first and is_edited and len(indent) + len(joined) <= length:
            lines[first - 1 : last] = [indent + joined]
    return "\n".join(lines)


def _statements(text: str, *, keep_commas: bool = True) -> Iterator[tuple[int, int, str]]:
    """Yield the first and last line of each statement that may be joined, and the joined line.

    A statement with a comma before a closing bracket may not be joined if commas are significant.
    """
    tokens: list[tokenize.TokenInfo] = []
    skipped = {tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.ENCODING}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in {tokenize.NEWLINE, tokenize.ENDMARKER}:
                if tokens and (joined := _joined(tokens, keep_commas=keep_commas)) is not None:
                    yield tokens[0].start[0], tokens[-1].end[0], joined
                tokens = []
            elif token.type == tokenize.COMMENT and not tokens:
                continue
            elif token.type not in skipped:
                tokens.append(token)
    except (tokenize.TokenError, IndentationError):
        return


def _joined(tokens: list[tokenize.TokenInfo], *, keep_commas: bool) -> str | None:
    """Return the tokens of a statement on one line; None if it must not be joined."""
    parts: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        several = token.start[0] != token.end[0]
        if several or token.type == tokenize.COMMENT:
            return None
        if before is None:
            parts.append(token.string)
            continue
        if keep_commas and token.string in _CLOSING and before.string == ",":
            return None
        if before.end[0] == token.start[0]:
            parts.append(" " * (token.start[1] - before.end[1]))
        elif before.string not in (*_OPENING, ".") and token.string not in (*_CLOSING, "."):
            parts.append(" ")
        parts.append(token.string)
    return "".join(parts)


def _flat(layout: str | Bracketed) -> str | None:
    """Return a layout on one line; None if it needs several lines."""
    if isinstance(layout, str):
        return None if "\n" in layout else layout
    items = [_flat(item) for item in layout.items]
    if None in items or layout.is_open:
        return None
    return f"{layout.opening}{', '.join(map(str, items))}{layout.closing}"


def _segment(text: str, node: ast.expr) -> str:
    """Return the source of a node in a text of one line."""
    data = text.encode()
    return data[node.col_offset : node.end_col_offset].decode()
