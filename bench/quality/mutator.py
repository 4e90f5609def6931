"""The mutations of a Python file, from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from bench.quality.mutations import Mutation

__all__ = ["mutations_of"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# The text of each operator, and that of its replacement.
# fmt: off
_OPERATORS = {
    "Add": ("+", "-"), "Sub": ("-", "+"), "Mult": ("*", "+"), "Div": ("/", "*"), "Mod": ("%", "+"),
    "FloorDiv": ("//", "*"), "BitAnd": ("&", "|"), "BitOr": ("|", "&"), "LShift": ("<<", ">>"),
    "RShift": (">>", "<<"), "And": ("and", "or"), "Or": ("or", "and"),
}
_COMPARISONS = {
    "Eq": ("==", "!="), "NotEq": ("!=", "=="), "Lt": ("<", "<="), "LtE": ("<=", "<"),
    "Gt": (">", ">="), "GtE": (">=", ">"), "In": ("in", "not in"), "NotIn": ("not in", "in"),
    "Is": ("is", "is not"), "IsNot": ("is not", "is"),
}
# fmt: on
# Statements that a mutation may delete.
_DELETED = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Raise, ast.Delete)


def mutations_of(
    path: str, source: str, ran: Collection[int], *, beside_tests: bool
) -> list[Mutation]:
    """Return the mutations of a file, without those of its tests.

    Parameters
    ----------
    path : str
        Path of the file, relative to the project.
    source : str
        Text of the file.
    ran : collection of int
        Lines that the suite runs. Other statements are not mutated, because no test could fail.
    beside_tests : bool
        True if the file contains tests, fixtures or helpers of tests.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return list(_Mutator(path, source, ran, beside_tests=beside_tests).of(tree))


class _Mutator:
    """The mutations of one file; see `mutations_of`."""

    def __init__(self, path: str, source: str, ran: Collection[int], *, beside_tests: bool) -> None:
        self._path = path
        self._lines = source.splitlines(keepends=True)
        self._ran = set(ran)
        self._beside_tests = beside_tests

    def of(self, tree: ast.Module) -> Iterator[Mutation]:
        """Yield the mutations of a module."""
        yield from self._block(tree.body, None)

    def _block(self, body: list[ast.stmt], function: _Function | None) -> Iterator[Mutation]:
        """Yield the mutations of the statements of a block, and of those inside them."""
        for statement in body:
            if isinstance(statement, _DEFINITION):
                yield from self._definition(statement, function)
                continue
            blocks = [value for _, value in ast.iter_fields(statement) if _is_block(value)]
            inner = [node for block in blocks for node in block]
            if self._runs(statement, inner):
                yield from self._statement(statement, inner, function, alone=len(body) == 1)
            for block in blocks:
                parts = [block] if isinstance(block[0], ast.stmt) else [one.body for one in block]
                for part in parts:
                    yield from self._block(part, function)

    def _definition(
        self, node: _Function | ast.ClassDef, function: _Function | None
    ) -> Iterator[Mutation]:
        """Yield the mutations of a function or class: decorators, default values, the body."""
        is_class = isinstance(node, ast.ClassDef)
        if self._beside_tests and node.name.startswith("test") and not is_class:
            return  # This is a test. A change of its lines always selects it.
        if self._runs(node, node.body):
            for decorator in node.decorator_list:
                yield from self._decorator(decorator, node)
            if not isinstance(node, ast.ClassDef):
                for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                    kind = self._kind("default value", node)
                    yield from self._expressions(default, kind, nothing="0")
        inside = function if isinstance(node, ast.ClassDef) else node
        yield from self._block(node.body, inside)

    def _decorator(self, decorator: ast.expr, node: _Function | ast.ClassDef) -> Iterator[Mutation]:
        """Yield the mutations of a decorator: its removal, and changes of its arguments."""
        kind = self._kind("decorator", node)
        if decorator.lineno == decorator.end_lineno:
            yield Mutation(kind, self._path, decorator.lineno, "")
        yield from self._expressions(decorator, kind)

    def _statement(
        self,
        statement: ast.stmt,
        inner: list[ast.AST],
        function: _Function | None,
        *,
        alone: bool,
    ) -> Iterator[Mutation]:
        """Yield the mutations of a statement, without those of the blocks inside it."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return
        one_line = statement.lineno == statement.end_lineno
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # This is a docstring.
        if one_line and isinstance(statement, _DELETED) and self._fills_its_line(statement):
            line = self._lines[statement.lineno - 1]
            left = line[: len(line) - len(line.lstrip())] + "pass\n" if alone else ""
            kind = self._kind("deleted statement", function)
            yield Mutation(kind, self._path, statement.lineno, left)
        if one_line and isinstance(statement, ast.Return) and statement.value is not None:
            edit = self._edit(self._kind("return", function), statement, "return None")
            yield from edit
        for node in ast.iter_child_nodes(statement):
            if node not in inner:
                yield from self._expressions(node, None, function)
        if isinstance(statement, ast.AugAssign):
            texts = _OPERATORS.get(type(statement.op).__name__, ("", ""))
            kind = self._kind("operator", function)
            yield from self._between(kind, statement.target, statement.value, texts)

    def _expressions(
        self,
        root: ast.AST,
        kind: str | None,
        function: _Function | None = None,
        nothing: str = "",
    ) -> Iterator[Mutation]:
        """Yield the mutations of an expression and of those inside it.

        Parameters
        ----------
        root : ast.AST
            The expression.
        kind : str or None
            Kind of all of them; None if each has its own.
        function : function definition or None
            The function that the expression lies in.
        nothing : str
            Replacement of None; "" keeps None as it is.
        """
        if isinstance(root, ast.JoinedStr):
            return  # Before Python 3.12, the parts of an f-string have no positions.

        def named(own: str) -> str:
            return kind or self._kind(own, function)

        if isinstance(root, ast.Constant):
            if text := nothing if root.value is None else _other_value(root.value):
                yield from self._edit(named("constant"), root, text)
        elif isinstance(root, ast.Compare):
            texts = _COMPARISONS[type(root.ops[0]).__name__]
            yield from self._between(named("comparison"), root.left, root.comparators[0], texts)
        elif isinstance(root, ast.BinOp):
            texts = _OPERATORS.get(type(root.op).__name__, ("", ""))
            yield from self._between(named("operator"), root.left, root.right, texts)
        elif isinstance(root, ast.BoolOp):
            texts = _OPERATORS[type(root.op).__name__]
            yield from self._between(named("operator"), root.values[0], root.values[1], texts)
        elif isinstance(root, ast.UnaryOp) and isinstance(root.op, ast.Not):
            text = f"bool({ast.unparse(root.operand)})"
            yield from self._edit(named("operator"), root, text)
        for node in ast.iter_child_nodes(root):
            yield from self._expressions(node, kind, function, nothing)

    def _kind(self, own: str, function: _Function | ast.ClassDef | None) -> str:
        """Return the kind of a mutation inside a function, or outside all functions."""
        if not self._beside_tests:
            outside = function is None and own not in {"decorator", "default value"}
            return "module level" if outside else own
        decorators = [] if function is None else function.decorator_list
        fixture = any("fixture" in ast.unparse(decorator) for decorator in decorators)
        return "fixture" if fixture else "test helper"

    def _runs(self, statement: ast.stmt, inside: Sequence[ast.AST]) -> bool:
        """Return True if the suite runs a statement, or the head of a compound statement."""
        last = min(map(_first_line, inside)) - 1 if inside else statement.end_lineno
        first = _first_line(statement)
        return not self._ran.isdisjoint(range(first, max(last or first, statement.lineno) + 1))

    def _fills_its_line(self, statement: ast.stmt) -> bool:
        """Return True if a statement's line contains nothing else, except a comment."""
        line = self._lines[statement.lineno - 1].encode()
        before, behind = line[: statement.col_offset], line[statement.end_col_offset :].strip()
        return not before.strip() and (not behind or behind.startswith(b"#"))

    def _edit(self, kind: str, node: ast.expr | ast.stmt, text: str) -> Iterator[Mutation]:
        """Yield the mutation that replaces a node of one line by a text."""
        if node.lineno == node.end_lineno:
            yield self._written(kind, node.lineno, node.col_offset, node.end_col_offset or 0, text)

    def _between(
        self, kind: str, left: ast.expr, right: ast.expr, texts: tuple[str, str]
    ) -> Iterator[Mutation]:
        """Yield the mutation that replaces the operator between two operands."""
        if left.end_lineno != right.lineno:
            return
        start, end = left.end_col_offset or 0, right.col_offset
        gap = self._lines[right.lineno - 1].encode()[start:end].decode()
        old, new = texts
        if old and gap.count(old) == 1:
            yield self._written(kind, right.lineno, start, end, gap.replace(old, new))

    def _written(self, kind: str, line: int, start: int, end: int, text: str) -> Mutation:
        """Return the mutation that replaces the text between two columns, counted in bytes."""
        data = self._lines[line - 1].encode()
        after = data[:start] + text.encode() + data[end:]
        return Mutation(kind, self._path, line, after.decode())


def _is_block(value: object) -> bool:
    """Return True if a field of a statement contains statements, or parts with a block."""
    parts = (ast.stmt, ast.ExceptHandler, ast.match_case)
    return isinstance(value, list) and bool(value) and isinstance(value[0], parts)


def _first_line(node: ast.AST) -> int:
    """Return the first line of a statement, or of a part of one."""
    node = node.pattern if isinstance(node, ast.match_case) else node
    lines: list[int] = [one.lineno for one in getattr(node, "decorator_list", [])]
    lines.append(getattr(node, "lineno", 1))
    return min(lines)


def _other_value(value: object) -> str:
    """Return the text of a value that differs from a constant's; "" if there is none."""
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int | float):
        return repr(value + 1)
    return repr(f"{value}X") if isinstance(value, str) and value else ""
