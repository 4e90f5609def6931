"""One thread's use of indexes and a cache, in a runtime that several threads share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import flashwasm as fw

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["IndexOwner"]

_DIM, _MOST_VECTORS, _CAPACITY = 24, 400, 64


class IndexOwner:
    """A flat index, a graph and a cache, with models of the vectors and rows in them.

    Parameters
    ----------
    runtime : Runtime
        Runtime of the indexes and the cache.
    shared : ShardedIndex
        An index that other owners use too, each with its own ids.
    number : int
        Number of this owner.
    random : random.Random
        Generator that draws the actions.
    """

    def __init__(
        self, runtime: fw.Runtime, shared: fw.ShardedIndex, number: int, random: Random
    ) -> None:
        self._runtime, self._shared, self._random = runtime, shared, random
        self._draw = np.random.default_rng(random.getrandbits(32))
        self._flat = fw.FlatIndex(_DIM, runtime=runtime, dtype=random.choice(["float32", "int8"]))
        self._graph = fw.HNSWIndex(_DIM, runtime=runtime, m=4, ef_construction=16)
        self._cache = fw.KVCache(2, 8, _CAPACITY, runtime=runtime)
        self._rows = np.empty((1, 2, 0, 8), np.float32)
        self._model: dict[int, Array] = {}
        self._next = number << 32
        self._folder = Path(tempfile.mkdtemp(prefix="flashwasm-soak-"))

    def use(self) -> bool:
        """Perform a random action, and return True if its result is right."""
        uses = (self._add, self._search, self._search, self._remove, self._append, self._store)
        return self._random.choice(uses)()

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder)

    def _add(self) -> bool:
        """Add vectors to all indexes."""
        if len(self._model) > _MOST_VECTORS:
            return self._remove()
        rows = self._draw.standard_normal((self._random.randint(1, 30), _DIM), np.float32)
        ids = list(range(self._next, self._next + len(rows)))
        self._next += len(rows)
        for index in (self._flat, self._graph, self._shared):
            index.add(rows, ids=ids)
        self._model |= zip(ids, rows, strict=True)
        return len(self._flat) == len(self._graph) == len(self._model)

    def _remove(self) -> bool:
        """Remove vectors from all indexes."""
        count = self._random.randint(0, min(len(self._model), 40))
        ids = self._random.sample(sorted(self._model), count)
        for index in (self._flat, self._graph, self._shared):
            index.remove(ids)
        for one in ids:
            del self._model[one]
        return not any(one in self._flat or one in self._shared for one in ids)

    def _search(self) -> bool:
        """Search for existing vectors: each finds itself, and the graph finds no other owner's."""
        if not self._model:
            return True
        ids = self._random.sample(sorted(self._model), min(5, len(self._model)))
        queries = np.stack([self._model[one] for one in ids])
        flat = self._flat.search(queries, 3)[1]
        shared = self._shared.search(queries, 1)[1][:, 0]
        graph = self._graph.search(queries, 3)[1]
        live = set(graph.ravel().tolist()) <= {*self._model, -1}
        return bool((flat[:, 0] == ids).all() and (shared == ids).all() and live)

    def _append(self) -> bool:
        """Append to the cache or truncate it, and read it."""
        count = self._random.randint(0, 9)
        if self._rows.shape[2] + count > _CAPACITY:
            self._cache.truncate(3)
            self._rows = self._rows[:, :, :3]
        rows = self._draw.standard_normal((1, 2, count, 8), np.float32)
        self._cache.append(rows, -rows)
        self._rows = np.concatenate([self._rows, rows], axis=2)
        keys, values = self._cache.numpy()
        q = np.ones((2, 1, 8), np.float32)
        found = self._cache.attention(q)
        plain = fw.attention(q, keys[0], values[0], runtime=self._runtime)
        same = np.array_equal(keys, self._rows) and np.array_equal(values, -self._rows)
        return same and found.tobytes() == plain.tobytes()

    def _store(self) -> bool:
        """Save and load an index; a copy with a flipped bit is refused."""
        index: fw.FlatIndex | fw.HNSWIndex = self._flat
        if self._random.random() < 0.5:
            index = self._graph
        path = self._folder / "index"
        index.save(path)
        loaded = type(index).load(path, runtime=self._runtime)
        content = bytearray(path.read_bytes())
        content[self._random.randrange(len(content))] ^= 1 << self._random.randrange(8)
        path.write_bytes(content)
        try:
            type(index).load(path, runtime=self._runtime)
        except fw.CorruptFileError:
            return set(loaded.ids.tolist()) == self._model.keys()
        return False
