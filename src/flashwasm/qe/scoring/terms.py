"""What a text is counted by: its characters, its identifiers or its structure.

`hashed` is MurmurHash3 (A. Appleby, 2011) of 32 bits, as scikit-learn hashes terms.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ANALYZERS", "characters", "hashed", "identifiers", "structure"]

Array = npt.NDArray[Any]
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_SHORTEST, _LONGEST = 3, 5


def characters(text: str) -> list[str]:
    """Return the runs of 3 to 5 characters of each word, with a blank before and after it.

    Examples
    --------
    >>> characters("a Node")
    [' a ', ' no', 'nod', 'ode', 'de ', ' nod', 'node', 'ode ', ' node', 'node ']
    """
    return [run for word in text.lower().split() for run in _runs(word)]


@lru_cache(1 << 14)
def _runs(word: str) -> list[str]:
    padded = f" {word} "
    # A word that is shorter than the runs is one itself, once.
    lengths = range(_SHORTEST, max(_SHORTEST, min(_LONGEST, len(padded))) + 1)
    return [padded[i : i + n] for n in lengths for i in range(max(1, len(padded) - n + 1))]


def identifiers(source: str) -> list[str]:
    """Return the identifiers of a source in lower case, and the words that they are made of.

    Examples
    --------
    >>> identifiers("graph.addEdge(1)")
    ['graph', 'addedge', 'add', 'edge']
    """
    terms = []
    for name in _IDENTIFIER.findall(source):
        terms.append(name.lower())
        words = prepare(name).split()
        if len(words) > 1:
            terms += words
    return terms


def structure(source: str) -> list[str]:
    """Return what a test calls, the fixtures it takes and the attributes of ``self`` it uses.

    Examples
    --------
    >>> structure("def test_a(tmp_path): self.graph.add(len(x))")
    ['fixture tmp_path', 'call add', 'call len', 'self graph']
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    terms = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name:
                terms.append(f"call {name}")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            terms += [f"fixture {a.arg}" for a in node.args.args if a.arg not in {"self", "cls"}]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "self":
            terms.append(f"self {node.attr}")
    return terms


# What a term is. Those of one text only count as well: another text may name just that.
ANALYZERS: Mapping[str, Callable[[str], list[str]]] = {
    "characters": characters,
    "identifiers": identifiers,
    "structure": structure,
}


def hashed(terms: Sequence[str]) -> Array:
    """Return a number below 2**31 for each term, which depends on that alone."""
    encoded = [term.encode() for term in terms]
    lengths = np.array([len(data) for data in encoded], np.int64)
    states = np.zeros(len(encoded), np.uint32)
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        # Those of one length together, in words of four bytes, the last one filled up with zeros.
        letters = np.zeros((len(places), -(-length // 4) * 4), np.uint8)
        joined = b"".join([encoded[place] for place in places.tolist()])
        letters[:, :length] = np.frombuffer(joined, np.uint8).reshape(len(places), length)
        states[places] = _murmur(letters.view("<u4").astype(np.uint32), length)
    # The magnitude as a signed number.
    return np.minimum(states, 0 - states).astype(np.int64)


def _murmur(words: Array, length: int) -> Array:
    """Return the hashes of rows of words that hold so many bytes."""
    state: Array = np.zeros(len(words), np.uint32)
    for at in range(words.shape[1]):
        state ^= _rotated(words[:, at] * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
        if at < length // 4:
            state = _rotated(state, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    state ^= np.uint32(length)
    state = (state ^ state >> 16) * np.uint32(0x85EBCA6B)
    state = (state ^ state >> 13) * np.uint32(0xC2B2AE35)
    state ^= state >> 16
    return state


def _rotated(x: Array, bits: int) -> Array:
    rotated: Array = x << bits | x >> 32 - bits
    return rotated
