"""Source of the parametrised test, generated from the source of the tests that it replaces."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING

from flashwasm.qe.duplicates.black_style import (
    Bracketed,
    joined_lines,
    line_length,
    literal_layout,
    render,
)

if TYPE_CHECKING:
    from flashwasm.qe.duplicates.function_body import FunctionBody

__all__ = ["parametrized_lines", "span_of"]

# Comments for tools refer to their own line, so they cannot move to another line.
_FOR_TOOLS = re.compile(r"#\s*(noqa|type:|pragma|pylint|fmt:|nosec|mypy:|ruff:|flashwasm:)")
_FOUR = "    "


def parametrized_lines(
    bodies: Sequence[FunctionBody], name: str, columns: Mapping[str, Sequence[int]]
) -> list[str] | None:
    """Return the lines of a parametrised test with a case for each of several tests.

    Parameters
    ----------
    bodies : sequence of FunctionBody
        The tests, which differ in literals only.
    name : str
        Name of the new test.
    columns : mapping of str to sequence of int
        Parameters, each with the positions of the literals that it replaces.

    Returns
    -------
    list of str or None
        The lines, with the indentation of the first test; None if its signature has a comment.
    """
    first = bodies[0]
    lines = first.module.lines or []
    node = first.definition
    indent = lines[node.lineno - 1][: node.col_offset]
    length = line_length(first.module.path)
    header = _header(first, name, list(columns), indent, length)
    if header is None:
        return None
    decorators = lines[span_of(first)[0] - 1 : node.lineno - 1]
    while decorators and decorators[0].lstrip().startswith("#"):
        # A comment above the test stays above it.
        decorators.pop(0)
    above = lines[span_of(first)[0] - 1 : node.lineno - 1]
    above = above[: len(above) - len(decorators)]
    cases = _cases(bodies, columns, indent, length)
    whole = [*above, *cases, *decorators, *header, *_body(bodies, columns, indent, length)]
    # The text of a literal may have several lines.
    return "\n".join(whole).split("\n")


def span_of(body: FunctionBody) -> tuple[int, int]:
    """Return the first and last line of a test, including its decorators and comments."""
    lines = body.module.lines or []
    node = body.definition
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    indent = node.col_offset
    while first > 1 and re.match(rf"[ \t]{{{indent}}}#", lines[first - 2]):
        first -= 1
    last = node.end_lineno or node.lineno
    while last < len(lines) and re.match(rf"[ \t]{{{indent + 1},}}#", lines[last]):
        last += 1
    return first, last


def _header(
    body: FunctionBody, name: str, parameters: list[str], indent: str, length: int
) -> list[str] | None:
    """Return the lines of the ``def``."""
    node = body.definition
    start = node.body[0]
    text = _text(body, node.lineno, node.col_offset, start.lineno, start.col_offset)
    if "#" in text:
        return None
    given = [_segment(body, argument) for argument in node.args.args]
    returns = "" if node.returns is None else f" -> {_segment(body, node.returns)}"
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    layout = Bracketed(f"{kind} {name}(", [*given, *parameters], f"){returns}")
    return render(layout, indent, length, ":")


def _cases(
    bodies: Sequence[FunctionBody],
    columns: Mapping[str, Sequence[int]],
    indent: str,
    length: int,
) -> list[str]:
    """Return the lines of the decorator, with comments above the cases that have some."""
    quote = _quote(bodies[0].module.lines or [])
    names = [f"{quote}{name}{quote}" for name in columns]
    shown = names[0] if len(names) == 1 else f"({', '.join(names)})"
    lines = [f"{indent}@pytest.mark.parametrize(", f"{indent}{_FOUR}{shown},", f"{indent}{_FOUR}["]
    inner = indent + _FOUR * 2
    for body in bodies:
        lines += [f"{inner}{remark}" for remark in _remarks(body, bodies)]
        values = [_segment(body, body.literals[at[0]].node) for at in columns.values()]
        items = [*map(literal_layout, values), f"id={quote}{body.node.name}{quote}"]
        lines += render(Bracketed("pytest.param(", items, ")"), inner, length, ",")
    return [*lines, f"{indent}{_FOUR}],", f"{indent})"]


def _quote(lines: list[str]) -> str:
    """Return the quotation mark of most strings in a file."""
    text = "\n".join(lines)
    return "'" if text.count("'") > 2 * text.count('"') else '"'


def _remarks(body: FunctionBody, bodies: Sequence[FunctionBody]) -> list[str]:
    """Return the docstring and comments of a test that the parametrised test does not contain."""
    first = bodies[0]
    docstring = ast.get_docstring(body.definition)
    same = all(ast.get_docstring(other.definition) == docstring for other in bodies)
    remarks = (
        []
        if same or not docstring
        else [f"# {line}".rstrip() for line in cleandoc(docstring).split("\n")]
    )
    if body is not first:
        kept = set(_comments(first))
        remarks += [c for c in _comments(body) if c not in kept and not _FOR_TOOLS.match(c)]
    return remarks


def _comments(body: FunctionBody) -> list[str]:
    """Return the comments of a test."""
    first, last = span_of(body)
    text = "\n".join((body.module.lines or [])[first - 1 : last])
    # The tokens of an indented function begin with an INDENT without a DEDENT.
    source = io.StringIO(f"if 1:\n{text}\n" if text[:1].isspace() else f"{text}\n")
    try:
        return [
            token.string
            for token in tokenize.generate_tokens(source.readline)
            if token.type == tokenize.COMMENT
        ]
    except (tokenize.TokenError, IndentationError):
        return []


def _body(
    bodies: Sequence[FunctionBody],
    columns: Mapping[str, Sequence[int]],
    indent: str,
    length: int,
) -> list[str]:
    """Return the lines below the ``def``, with parameters in place of literals."""
    first = bodies[0]
    node = first.definition
    docstring = ast.get_docstring(node)
    keeps = docstring is not None and all(
        ast.get_docstring(body.definition) == docstring for body in bodies
    )
    statements = node.body if keeps or docstring is None else node.body[1:]
    begin = statements[0]
    start = min([begin.lineno, *(d.lineno for d in getattr(begin, "decorator_list", []))])
    edits = {}
    for parameter, positions in columns.items():
        for position in positions:
            edits[_place(first.literals[position].node)] = parameter
    if node.body[0].lineno == _header_end(first):
        # The statements are on the line of the def. Put each on a separate line.
        return [
            f"{indent}{_FOUR}{line}"
            for statement in statements
            for line in _edited(first, _place(statement), edits)[0].split("\n")
        ]
    lines = first.module.lines or []
    if statements is node.body:
        start = _header_end(first) + 1
    else:
        start = (node.body[0].end_lineno or 0) + 1
        while start < begin.lineno and not lines[start - 1].strip():
            start += 1
    _, last = span_of(first)
    whole = (start, 0, last, len(lines[last - 1].encode()))
    text, edited = _edited(first, whole, edits)
    return _joined(text, length, edited)


def _joined(text: str, length: int, edited: set[int]) -> list[str]:
    """Return the lines of a body, with edited statements on one line where they fit."""
    # Tokenizing an indented block requires a line above it.
    joined = joined_lines(f"if 1:\n{text}", length, {line + 1 for line in edited})
    return joined.split("\n")[1:]


Place = tuple[int, int, int, int]


def _place(node: ast.expr | ast.stmt) -> Place:
    """Return the first line and column of a node, and its last ones."""
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _edited(body: FunctionBody, whole: Place, edits: Mapping[Place, str]) -> tuple[str, set[int]]:
    """Return an edited part of the file, and its edited lines."""
    text, edited = "", set()
    line, column = whole[:2]
    for place in sorted(edits):
        if not whole[:2] <= place[:2] < whole[2:]:
            continue
        text += _text(body, line, column, *place[:2])
        # Python allows `1if x` and `return"x"`, where a name needs a space.
        text += " " * text[-1:].isalnum() + edits[place]
        text += " " * _text(body, *place[2:], *whole[2:])[:1].isalnum()
        edited.add(text.count("\n") + 1)
        line, column = place[2:]
    return text + _text(body, line, column, *whole[2:]), edited


def _header_end(body: FunctionBody) -> int:
    """Return the line on which the colon of the ``def`` stands."""
    node = body.definition
    first = node.body[0]
    lines = body.module.lines or []
    # Between the colon and the first statement there are only comments and blank lines.
    for line in range(first.lineno, node.lineno - 1, -1):
        text = lines[line - 1]
        before = text.encode()[: first.col_offset].decode() if line == first.lineno else text
        if before.strip() and not before.lstrip().startswith("#"):
            return line
    return node.lineno


def _segment(body: FunctionBody, node: ast.expr | ast.arg) -> str:
    """Return the original source of a node."""
    end = (node.end_lineno or 0, node.end_col_offset or 0)
    return _text(body, node.lineno, node.col_offset, *end)


def _text(body: FunctionBody, line: int, column: int, last: int, end: int) -> str:
    """Return a part of the file. Columns are counted in bytes, as in Python's syntax trees."""
    return "\n".join(_parts(body.module.lines or [], line, column, last, end))


def _parts(lines: list[str], line: int, column: int, last: int, end: int) -> Iterator[str]:
    """Yield the lines of a part of the file."""
    for number in range(line, last + 1):
        data = lines[number - 1].encode()
        stop = end if number == last else len(data)
        yield data[column if number == line else 0 : stop].decode()
