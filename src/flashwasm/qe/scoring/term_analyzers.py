"""Analyzers that split a text into the terms that tf-idf counts."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Mapping
from functools import lru_cache

from flashwasm.qe.scoring.word_extraction import extract_words
from flashwasm.qe.suites.syntax_trees import FUNCTION_NODES, try_parse

__all__ = ["ANALYZERS", "characters", "identifiers", "structure"]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_SHORTEST, _LONGEST = 3, 5
# Maximum number of characters used of a word. A longer word is data, such as an image in base64.
_MOST_OF_A_WORD = 1000
# Maximum number of characters used of a text, some 6,000 lines of source. A longer test contains
# data, whose terms would take gigabytes.
_MOST_OF_A_TEXT = 1 << 18


def characters(text: str) -> list[str]:
    """Return the n-grams of 3 to 5 characters of each word, padded with a space on both sides.

    This is scikit-learn's analyzer "char_wb", limited to the first 1,000 characters of a word and
    the first 262,144 characters of a text.

    Examples
    --------
    >>> characters("a Node")
    [' a ', ' no', 'nod', 'ode', 'de ', ' nod', 'node', 'ode ', ' node', 'node ']
    """
    words = text[:_MOST_OF_A_TEXT].lower().split()
    return [run for word in words for run in _runs(word[:_MOST_OF_A_WORD])]


@lru_cache(1 << 14)
def _runs(word: str) -> list[str]:
    """Return the n-grams of one word."""
    padded = f" {word} "
    # n ends at the length of the padded word. A larger n would return the whole word again.
    lengths = range(_SHORTEST, max(_SHORTEST, min(_LONGEST, len(padded))) + 1)
    return [padded[i : i + n] for n in lengths for i in range(max(1, len(padded) - n + 1))]


def identifiers(source: str) -> list[str]:
    """Return the identifiers in a source in lower case, and the words that they consist of.

    Only the first 262,144 characters of the source are used.

    Examples
    --------
    >>> identifiers("graph.addEdge(1)")
    ['graph', 'addedge', 'add', 'edge']
    """
    terms = []
    for name in _IDENTIFIER.findall(source[:_MOST_OF_A_TEXT]):
        terms.append(name.lower())
        words = extract_words(name).split()
        if len(words) > 1:
            terms += words
    return terms


def structure(source: str) -> list[str]:
    """Return the names that a test calls, its fixtures, and the attributes of ``self`` it uses.

    Examples
    --------
    >>> structure("def test_a(tmp_path): self.graph.add(len(x))")
    ['fixture tmp_path', 'call add', 'call len', 'self graph']
    """
    tree = try_parse(textwrap.dedent(source))
    if tree is None:
        return []
    terms = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name:
                terms.append(f"call {name}")
        elif isinstance(node, FUNCTION_NODES):
            terms += [f"fixture {a.arg}" for a in node.args.args if a.arg not in {"self", "cls"}]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "self":
            terms.append(f"self {node.attr}")
    return terms


# Functions that return the terms of a text, by the kind of the terms. They also return terms that
# only one text contains, because a query may contain such a term.
ANALYZERS: Mapping[str, Callable[[str], list[str]]] = {
    "characters": characters,
    "identifiers": identifiers,
    "structure": structure,
}
