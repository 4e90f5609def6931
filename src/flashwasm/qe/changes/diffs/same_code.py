"""Proof that two versions of a Python file differ in comments and layout only."""

from __future__ import annotations

import ast
import re
import sys
import warnings

from flashwasm.qe.suites.syntax_trees import PARSE_ERRORS, parse_with_warnings

__all__ = ["compiles_alike", "same_code"]

# Comments that change how a file is read or compiled: its encoding, directives of Cython, and the
# settings of a script. A file with such comments is not compared.
_DIRECTIVE = re.compile(
    r"^[ \t\f]*#(?:.*?coding[:=][ \t]*(?!utf-?8[ \t]*(?:-\*-|$))[-\w.]"
    r"|[ \t]*(?:cython|distutils)[ \t]*:| ///)",
    re.MULTILINE | re.IGNORECASE,
)
# Mark for a byte that is not UTF-8.
_REPLACED = "\ufffd"
# Oldest minor version of Python 3 that a project may run on.
_OLDEST = 9


def same_code(before: str, after: str) -> bool:
    """Return True if two sources are the same program, apart from the numbers of its lines.

    Their syntax trees are equal, in which docstrings count. The parser issues the same warnings for
    both, since a setting may turn any of them into an error. Older versions of Python can read both
    or neither: ``except A, B:`` is newer than ``except (A, B):``.

    Parameters
    ----------
    before, after : str
        The sources. The result is False if one of them is empty or cannot be parsed.
    """
    if not before.strip() or not after.strip():
        return False
    if any(_REPLACED in text or _DIRECTIVE.search(text) for text in (before, after)):
        return False
    if _interpreter(before) != _interpreter(after):
        return False
    program = _program(before)
    return program is not None and program == _program(after)


def compiles_alike(before: str, after: str) -> bool:
    """Return True if Python compiles two sources with the same errors and warnings, or with none.

    Otherwise, the import of one of them may fail, although only functions differ: ``break`` outside
    of a loop is an error for the whole file, and so is any warning if a setting says so.

    Parameters
    ----------
    before, after : str
        The sources.
    """
    return _compiled(before) == _compiled(after)


def _compiled(source: str) -> tuple[list[str], list[bool]]:
    """Return the errors and warnings of a source, and the versions of Python that can read it."""
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        try:
            compile(source, "", "exec", dont_inherit=True)
        except PARSE_ERRORS as error:
            return [type(error).__name__], []
    return sorted(str(warning.message) for warning in issued), _read_by(source)


def _interpreter(source: str) -> str:
    """Return the first line of a script if it names the interpreter, else ""."""
    first = source.partition("\n")[0]
    return first if first.startswith("#!") else ""


def _program(source: str) -> tuple[object, ...] | None:
    """Return values that are equal for sources of the same program; None if it is not Python."""
    try:
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            tree = parse_with_warnings(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                node.kind = None  # The u of u"text" has no meaning.
        messages = sorted(str(warning.message) for warning in issued)
        return ast.dump(tree), messages, _read_by(source), _new_strings(source, tree)
    except PARSE_ERRORS:
        # A number of very many digits is a value error.
        return None


def _read_by(source: str) -> list[bool]:
    """Return for each version of Python whether it can read a source, as far as ast knows."""
    return [_is_read_by(source, minor) for minor in range(_OLDEST, sys.version_info.minor + 1)]


def _is_read_by(source: str, minor: int) -> bool:
    """Return True if a minor version of Python 3 can read a source, as far as ast knows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parse_with_warnings(source, minor=minor)
    except SyntaxError:
        return False
    return True


def _new_strings(source: str, tree: ast.Module) -> list[str]:
    """Return the sorted texts of f-strings that only Python 3.12 and later may read.

    The parts in braces contain strings, comments, backslashes or several lines.
    """
    texts = [
        ast.get_source_segment(source, node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and any(map(_holds_text, node.values))
    ]
    return sorted(texts)


def _holds_text(part: ast.expr) -> bool:
    """Return True if a part of an f-string is an expression that contains a string."""
    value = getattr(part, "value", None)
    if not isinstance(value, ast.expr):
        return False
    literals = (one for one in ast.walk(value) if isinstance(one, (ast.Constant, ast.JoinedStr)))
    return any(isinstance(getattr(one, "value", ""), (str, bytes)) for one in literals)
