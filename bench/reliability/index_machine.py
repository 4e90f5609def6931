"""The indexes compared with a dictionary of vectors by id."""

from __future__ import annotations

import copy
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from bench.reliability.arena_audit import audit_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_DIM = 6
_SHARD = 7
# The kinds of index, by name.
_KINDS = ("FlatIndex", "HNSWIndex", "flat shards", "hnsw shards")


class IndexMachine(RuleBasedStateMachine):
    """An index that changes, is saved and loaded, and a model of the vectors that it must contain.

    An exact search must return the same bits as a new `FlatIndex` of the same vectors. A search
    of a graph may miss some vectors, but must not return a vector twice or a removed one.
    """

    @initialize(
        kind=st.sampled_from(_KINDS),
        metric=st.sampled_from(["cosine", "dot", "l2"]),
        dtype=st.sampled_from(["float32", "int8"]),
        text=st.booleans(),
        seed=st.integers(0, 1000),
    )
    def make(self, kind: str, metric: Any, dtype: Any, text: bool, seed: int) -> None:
        """Create an empty index in a new runtime."""
        self.runtime = fw.Runtime(threads=1)
        self.kind, self.text = kind, text
        self.options: dict[str, Any] = {"metric": metric, "dtype": dtype}
        self.random = np.random.default_rng(seed)
        self.folder = Path(tempfile.mkdtemp())
        self.graph = kind in ("HNSWIndex", "hnsw shards")
        small: dict[str, Any] = {"m": 3, "ef_construction": 6} if self.graph else {}
        self.index: Any
        if "shards" in kind:
            self.index = fw.ShardedIndex(
                "hnsw" if self.graph else "flat",
                _DIM,
                shard_size=_SHARD,
                threads=1,
                **self.options,
                **small,
            )
        else:
            self.index = getattr(fw, kind)(_DIM, runtime=self.runtime, **self.options, **small)
        # Vectors by id, in the order in which they were added.
        self.model: dict[Any, Array] = {}
        self.removed: set[Any] = set()
        self.next = 0

    def vectors(self, count: int) -> Array:
        """Return random vectors, some of them equal and some zero."""
        rows = self.random.integers(-2, 3, (count, _DIM)).astype(np.float32)
        return rows + self.random.choice([0, 0.25], (count, 1)).astype(np.float32)

    def names(self, count: int) -> list[Any]:
        """Return ids that were never used."""
        self.next += count
        numbers = [int(n) * 3 for n in range(self.next - count, self.next)]
        return [f"test_{n}" for n in numbers] if self.text else numbers

    @rule(count=st.integers(0, 12))
    def add(self, count: int) -> None:
        """Add vectors with new ids."""
        rows, ids = self.vectors(count), self.names(count)
        self.index.add(rows, ids=ids)
        self.model |= zip(ids, rows, strict=True)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        """Add new vectors together with an existing id: the whole call is refused."""
        one = data.draw(st.sampled_from(list(self.model)))
        try:
            self.index.add(self.vectors(3), ids=[*self.names(2), one])
        except fw.ShapeError:
            return
        raise AssertionError("an id was accepted twice")

    @precondition(lambda self: self.removed)
    @rule(data=st.data())
    def add_removed(self, data: st.DataObject) -> None:
        """Add another vector with an id that was removed."""
        one = data.draw(st.sampled_from(sorted(self.removed)))
        row = self.vectors(1)
        self.index.add(row, ids=[one])
        self.model[one] = row[0]
        self.removed.discard(one)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Remove some vectors, perhaps all."""
        ids = data.draw(st.lists(st.sampled_from(list(self.model)), min_size=1, unique=True))
        self.index.remove(ids)
        for one in ids:
            del self.model[one]
        self.removed |= set(ids)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_unknown(self, data: st.DataObject) -> None:
        """Remove a vector together with an unknown id: the whole call is refused."""
        one = data.draw(st.sampled_from(list(self.model)))
        try:
            self.index.remove([one, *self.names(1)])
        except fw.IndexRangeError:
            return
        raise AssertionError("an unknown id was removed")

    @rule(nth=st.integers(1, 12), lasting=st.booleans(), count=st.integers(1, 40))
    def add_without_memory(self, nth: int, lasting: bool, count: int) -> None:
        """Add vectors while an allocation fails: all are added, or none."""
        if "shards" in self.kind:
            return
        rows, ids = self.vectors(count), self.names(count)
        with allocation_fails(self.runtime, nth, lasting=lasting):
            try:
                self.index.add(rows, ids=ids)
            except fw.OutOfMemoryError:
                return
        self.model |= zip(ids, rows, strict=True)

    @precondition(lambda self: self.model)
    @rule(nth=st.integers(1, 4), data=st.data())
    def remove_without_memory(self, nth: int, data: st.DataObject) -> None:
        """Remove vectors while an allocation fails: all are removed, or none."""
        if "shards" in self.kind:
            return
        ids = data.draw(st.lists(st.sampled_from(list(self.model)), min_size=1, unique=True))
        with allocation_fails(self.runtime, nth, lasting=True):
            try:
                self.index.remove(ids)
            except fw.OutOfMemoryError:
                return
        for one in ids:
            del self.model[one]
        self.removed |= set(ids)

    @rule(k=st.integers(1, 40), queries=st.integers(0, 3), whole=st.booleans())
    def search(self, k: int, queries: int, whole: bool) -> None:
        """Search by the graph, or by comparison with every vector."""
        exact = {"exact": whole} if self.graph else {}
        wanted = self.vectors(queries)
        scores, ids = self.index.search(wanted, k, **exact)
        for row_scores, row_ids in zip(scores, ids.tolist(), strict=True):
            found = [one for one in row_ids if one not in (-1, None)]
            assert len(found) == len(set(found))
            assert set(found) <= self.model.keys()
            assert (np.diff(row_scores[: len(found)]) <= 0).all()
            assert np.isneginf(row_scores[len(found) :]).all()
            if whole or not self.graph:
                assert len(found) == min(k, len(self.model))
        if self.graph and not whole:
            return
        with fw.Runtime(threads=1) as apart:
            flat = fw.FlatIndex(_DIM, runtime=apart, metric=self.options["metric"])
            if self.model:
                flat.add(np.stack(list(self.model.values())), ids=list(self.model))
            expected = flat.search(wanted, k)
        if self.graph:
            # A graph reuses the positions of removed vectors, so ties may have another order.
            np.testing.assert_allclose(scores, expected[0], rtol=1e-5, atol=1e-6)
        else:
            assert np.array_equal(scores, expected[0])
            # An index whose strings were all removed returns None, a new one -1.
            assert not self.model or ids.tolist() == expected[1].tolist()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        """Return vectors by their ids."""
        ids = data.draw(st.lists(st.sampled_from(list(self.model)), min_size=1))
        rows = np.stack([self.model[one] for one in ids])
        if self.options["metric"] == "cosine":
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
            np.testing.assert_allclose(self.index.get(ids), rows, rtol=1e-6)
        else:
            assert np.array_equal(self.index.get(ids), rows)

    @rule()
    def save_and_load(self) -> None:
        """Save the index, load it, compare the answers, and continue with the loaded index."""
        path = self.folder / "index"
        self.index.save(path)
        runtime = {"threads": 1} if "shards" in self.kind else {"runtime": self.runtime}
        loaded = type(self.index).load(path, **runtime)
        wanted = self.vectors(3)
        for found, same in zip(loaded.search(wanted, 9), self.index.search(wanted, 9), strict=True):
            assert found.tolist() == same.tolist()
        if "shards" in self.kind:
            self.index.close()
        self.index = loaded

    @rule(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def load_damaged(self, at: float, bit: int) -> None:
        """Change a bit of a saved file: it is refused."""
        if "shards" in self.kind:
            return
        path = self.folder / "damaged"
        self.index.save(path)
        content = bytearray(path.read_bytes())
        content[int(at * len(content))] ^= 1 << bit
        path.write_bytes(content)
        try:
            type(self.index).load(path, runtime=self.runtime)
        except fw.CorruptFileError:
            return
        raise AssertionError("a damaged file was read")

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, pickle.dumps]))
    def copy_refused(self, how: Any) -> None:
        """Copy the index: refused, since two indexes would share one memory."""
        try:
            how(self.index)
        except TypeError:
            return
        raise AssertionError("an index was copied")

    @invariant()
    def holds_its_vectors(self) -> None:
        """Compare the ids with those of the model."""
        if not hasattr(self, "index"):
            return
        assert len(self.index) == len(self.model)
        assert all(one in self.index for one in self.model)
        assert not any(one in self.index for one in self.removed)
        if self.kind == "HNSWIndex":
            assert set(self.index.ids.tolist()) == self.model.keys()
        else:
            assert self.index.ids.tolist() == list(self.model)

    def teardown(self) -> None:
        """Close the index: it is refused afterwards, and no byte was lost."""
        if not hasattr(self, "index"):
            return
        shutil.rmtree(self.folder)
        audit_runtime(self.runtime)
        self.runtime.close()
        if "shards" in self.kind:
            self.index.close()
        try:
            self.index.add(self.vectors(1), ids=self.names(1))
        except fw.ClosedError:
            return
        raise AssertionError("a closed index takes vectors")
