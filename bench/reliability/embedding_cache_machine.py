"""The cache of embeddings on disk, used by several processes, compared with the right vectors."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flashwasm.qe.scoring.embedding_cache import EmbeddingCache

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_MOST, _USERS = 8, 3
_KEYS = st.lists(st.integers(0, 30), max_size=6)


def key_of(number: int) -> bytes:
    """Return the digest that is the key of a vector."""
    return hashlib.sha256(str(number).encode()).digest()


def vector_of(number: int) -> Array:
    """Return the vector that belongs to a number."""
    return np.full(4, number, np.float32)


class EmbeddingCacheMachine(RuleBasedStateMachine):
    """One file and three users, each of which opens it, requests vectors, adds some and saves.

    The cache must never return a wrong vector. After a user has saved, the file contains the
    vectors that this user requested or added, and those that the others saved since, up to the
    limit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "vectors"
        self.users = [EmbeddingCache(self.path, _MOST) for _ in range(_USERS)]
        # Numbers whose vectors each user has.
        self.known: list[set[int]] = [set() for _ in range(_USERS)]
        self.asked: list[set[int]] = [set() for _ in range(_USERS)]

    @rule(user=st.integers(0, _USERS - 1), numbers=_KEYS)
    def ask_and_add(self, user: int, numbers: list[int]) -> None:
        """Request vectors, and add those that are missing, as an encoder does."""
        cache = self.users[user]
        missing = cache.missing([key_of(n) for n in numbers])
        assert len(missing) == len(set(missing))
        absent = [n for n in dict.fromkeys(numbers) if key_of(n) in missing]
        assert not set(absent) & self.known[user]
        assert self.known[user] >= set(numbers) - set(absent)
        if absent:
            cache.add([key_of(n) for n in absent], np.stack([vector_of(n) for n in absent]))
        if numbers:
            rows = cache.vectors([key_of(n) for n in numbers])
            assert rows.tolist() == [vector_of(n).tolist() for n in numbers]
        self.known[user] |= set(numbers)
        self.asked[user] |= set(numbers)

    @rule(user=st.integers(0, _USERS - 1))
    def save(self, user: int) -> None:
        """Save: the file then contains all vectors that the user requested, and few others."""
        before = self.in_file()
        self.users[user].save()
        after = self.in_file()
        assert after <= before | self.known[user]
        assert len(after) <= max(_MOST, len(self.asked[user]), len(before))
        if after != before:
            assert self.asked[user] <= after
            room = max(_MOST, len(self.asked[user])) - len(self.asked[user])
            assert len(after - self.asked[user]) == min(room, len(before - self.asked[user]))

    @rule(user=st.integers(0, _USERS - 1))
    def open_again(self, user: int) -> None:
        """Open the file again, as the next process does."""
        self.users[user] = EmbeddingCache(self.path, _MOST)
        self.known[user], self.asked[user] = self.in_file(), set()

    @rule(user=st.integers(0, _USERS - 1), at=st.floats(0, 1, exclude_max=True))
    def damage(self, user: int, at: float) -> None:
        """Change a byte of the file: a user that opens it gets no vectors and a warning."""
        if not self.path.exists():
            return
        content = bytearray(self.path.read_bytes())
        content[int(at * len(content))] ^= 255
        self.path.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.users[user] = EmbeddingCache(self.path, _MOST)
        assert caught
        assert not self.in_file()
        self.known[user], self.asked[user] = set(), set()
        self.path.unlink(missing_ok=True)

    def in_file(self) -> set[int]:
        """Return the numbers whose vectors are in the file, and check that each is right."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cache = EmbeddingCache(self.path, _MOST)
        held = {n for n in range(31) if cache.get(key_of(n)) is not None}
        for n in held:
            assert np.array_equal(cache.vectors([key_of(n)])[0], vector_of(n))
        return held

    @invariant()
    def finds_the_right_vectors(self) -> None:
        """Compare the vectors of each user with the right ones."""
        for cache, known in zip(self.users, self.known, strict=True):
            for n in range(31):
                found = cache.get(key_of(n))
                assert (found is not None) == (n in known)
                assert found is None or np.array_equal(found, vector_of(n))

    def teardown(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)
