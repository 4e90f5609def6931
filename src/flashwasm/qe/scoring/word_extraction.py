"""Extraction of the words in a source, which are the input of the sentence encoder."""

from __future__ import annotations

import keyword
import re

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_unicode

__all__ = ["WORDS_VERSION", "checked_words", "extract_words"]

# Part of the key of every cached embedding. Increase it if `extract_words` changes.
WORDS_VERSION = 1

_LETTERS = re.compile(r"[^\W\d_]+")
# Matches between "parse" and "Http" in parseHttp, and between "HTTP" and "Server" in HTTPServer.
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHORTEST_WORD = 2
_LEFT_OUT = {word.lower() for word in keyword.kwlist} | {"self"}


def checked_words(words: str) -> str:
    """Return a description in words; raise ShapeError if it has no word, DTypeError if no text."""
    if not any(map(str.isalnum, checked_unicode(words, "words"))):
        raise ShapeError("words have no letter and no digit; expected a description")
    return words


def extract_words(source: str) -> str:
    """Return the distinct words in a source, in the order of their first occurrence.

    Identifiers are split at underscores, digits and changes of case. Keywords, repetitions and
    single letters are left out. A sentence encoder distinguishes tests better by these words than
    by the source, whose syntax all tests share. It also reads only a fifth of the tokens.

    Parameters
    ----------
    source : str
        Python source, or any text.

    Returns
    -------
    str
        Words in lower case, separated by spaces; the unchanged text if it contains no word.

    Examples
    --------
    >>> extract_words("def test_add_edge(self): assert HTTPGraph().add_edge(1, 2) is None")
    'test add edge http graph'
    """
    words: dict[str, None] = {}
    for letters in _LETTERS.findall(source):
        for word in _CAMEL_CASE.split(letters):
            lower = word.lower()
            if len(word) >= _SHORTEST_WORD and lower not in _LEFT_OUT:
                words.setdefault(lower)
    return " ".join(words) or source
