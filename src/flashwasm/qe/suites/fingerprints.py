"""Fingerprints of findings, which do not change if the code moves or is reformatted."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable

from flashwasm.qe.suites.expressions import source_of
from flashwasm.qe.suites.syntax_trees import DEFINITION_NODES, try_parse

__all__ = ["fingerprint", "normalized_source", "numbered", "parsed_without_docstrings"]

# Number of hexadecimal digits: 80 bits distinguish a billion findings.
_DIGITS = 20


def fingerprint(kind: str, texts: Iterable[str]) -> str:
    """Return the fingerprint of a finding.

    Parameters
    ----------
    kind : str
        Kind of the finding.
    texts : iterable of str
        Texts that identify the finding, in any order.

    Returns
    -------
    str
        A number in hexadecimal digits.
    """
    whole = "\0".join([kind, *sorted(texts)])
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def numbered(fingerprints: Iterable[str]) -> list[str]:
    """Return fingerprints with numbers, which make the fingerprints of equal findings unique.

    Examples
    --------
    >>> numbered(["a", "b", "a"])
    ['a:1', 'b:1', 'a:2']
    """
    seen: Counter[str] = Counter()
    result = []
    for one in fingerprints:
        seen[one] += 1
        result.append(f"{one}:{seen[one]}")
    return result


def normalized_source(source: str) -> str:
    r"""Return a function's source without comments, docstring and formatting.

    Examples
    --------
    >>> normalized_source("def test_sum( ): # Adds.\n    '''Add.'''\n    assert sum([1,2])==3")
    'def test_sum():\n    assert sum([1, 2]) == 3'
    """
    tree = parsed_without_docstrings(source)
    return " ".join(source.split()) if tree is None else source_of(tree)


def parsed_without_docstrings(source: str) -> ast.Module | None:
    """Return the syntax tree of a function without docstrings; None if it cannot be parsed."""
    tree = try_parse(source)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, DEFINITION_NODES):
            # A function needs at least one statement, so a sole docstring is kept.
            has_text = ast.get_docstring(node, clean=False) is not None and len(node.body) > 1
            node.body = node.body[has_text:]
    return tree
