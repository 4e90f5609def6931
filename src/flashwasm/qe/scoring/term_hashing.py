"""MurmurHash3 of terms, for the hashing trick.

The hash is the 32-bit MurmurHash3 (A. Appleby, 2011), made non-negative as scikit-learn's
HashingVectorizer does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["hash_terms"]

Array = npt.NDArray[Any]
# Maximum number of characters to hash: the longest term determines the time.
_MOST_CHARACTERS = 1000


def hash_terms(terms: Sequence[str]) -> Array:
    """Return a hash from 0 to 2**31 for each term.

    Parameters
    ----------
    terms : sequence of str
        Terms of any length. Terms that agree in their first 1,000 characters get the same number.

    Returns
    -------
    numpy.ndarray of int64, shape (len(terms),)
    """
    encoded = [term[:_MOST_CHARACTERS].encode() for term in terms]
    lengths = np.array([len(data) for data in encoded], np.int64)
    states = np.zeros(len(encoded), np.uint32)
    # Terms of the same length are hashed at once, as rows of 4-byte words padded with zeros.
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        letters = np.zeros((len(places), -(-length // 4) * 4), np.uint8)
        joined = b"".join([encoded[place] for place in places.tolist()])
        letters[:, :length] = np.frombuffer(joined, np.uint8).reshape(len(places), length)
        states[places] = _murmur3(letters.view("<u4").astype(np.uint32), length)
    # The smaller of x and -x modulo 2**32 is the absolute value of x read as a signed integer.
    return np.minimum(states, 0 - states).astype(np.int64)


def _murmur3(words: Array, length: int) -> Array:
    """Return the hashes ``(n,)`` of rows of words ``(n, count)``, each of ``length`` bytes."""
    state: Array = np.zeros(len(words), np.uint32)
    for at in range(words.shape[1]):
        state ^= _rotate_left(words[:, at] * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
        # A partial last word is mixed in without this step.
        if at < length // 4:
            state = _rotate_left(state, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    state ^= np.uint32(length)
    state = (state ^ state >> 16) * np.uint32(0x85EBCA6B)
    state = (state ^ state >> 13) * np.uint32(0xC2B2AE35)
    state ^= state >> 16
    return state


def _rotate_left(x: Array, bits: int) -> Array:
    """Return 32-bit integers rotated to the left."""
    rotated: Array = x << bits | x >> 32 - bits
    return rotated
