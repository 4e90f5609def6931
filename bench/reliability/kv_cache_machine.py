"""KVCache compared with a list of rows."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import flashwasm as fw
from bench.reliability.allocation_faults import allocation_fails
from bench.reliability.arena_audit import audit_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.flash_attention.kv_cache import CacheDType

    Array = NDArray[Any]

_HEADS, _DIM, _DV, _CAPACITY = 2, 9, 5, 23


class KVCacheMachine(RuleBasedStateMachine):
    """A cache that grows and is truncated, and a model of the rows that it must contain.

    Its attention must have the same bits as that of a new cache with the same rows.
    """

    @initialize(
        dtype=st.sampled_from(["float32", "float16", "int8"]),
        batch=st.integers(1, 2),
        seed=st.integers(0, 1000),
    )
    def make(self, dtype: CacheDType, batch: int, seed: int) -> None:
        """Create an empty cache of some format in a new runtime."""
        self.runtime = fw.Runtime(threads=1)
        self.dtype: CacheDType = dtype
        self.batch = batch
        self.random = np.random.default_rng(seed)
        self.cache = self.new()
        self.keys = np.empty((batch, _HEADS, 0, _DIM), np.float32)
        self.values = np.empty((batch, _HEADS, 0, _DV), np.float32)

    def new(self) -> fw.KVCache:
        """Return an empty cache."""
        sizes = {"dv": _DV, "batch": self.batch}
        return fw.KVCache(_HEADS, _DIM, _CAPACITY, dtype=self.dtype, runtime=self.runtime, **sizes)

    def rows(self, count: int, columns: int) -> Array:
        """Return random rows for all heads, some of them large, small or zero."""
        shape = (self.batch, _HEADS, count, columns)
        scales = self.random.choice([0, 1e-3, 1, 100], (*shape[:3], 1))
        rows: Array = (self.random.standard_normal(shape) * scales).astype(np.float32)
        return rows

    @rule(count=st.integers(0, 9))
    def append(self, count: int) -> None:
        """Append rows, which are refused if there is no room."""
        keys, values = self.rows(count, _DIM), self.rows(count, _DV)
        room = _CAPACITY - self.keys.shape[2]
        try:
            self.cache.append(keys, values)
        except fw.ShapeError:
            assert count > room
            return
        assert count <= room
        self.keys = np.concatenate([self.keys, keys], axis=2)
        self.values = np.concatenate([self.values, values], axis=2)

    @rule(wrong=st.sampled_from(["heads", "columns", "rows", "infinite", "text"]))
    def append_refused(self, wrong: str) -> None:
        """Append rows that do not fit: the cache stays as it was."""
        keys: Any = self.rows(1, _DIM)
        values: Any = self.rows(1, _DV)
        if wrong == "heads":
            keys = keys[:, :1]
        elif wrong == "columns":
            values = values[..., :-1]
        elif wrong == "rows":
            values = self.rows(2, _DV)
        elif wrong == "text":
            keys = keys.astype(str)
        elif self.dtype == "float16":
            keys[...] = 1e6
        else:
            return
        try:
            self.cache.append(keys, values)
        except (fw.ShapeError, fw.DTypeError):
            return
        raise AssertionError(f"the cache accepts wrong {wrong}")

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        """Keep the first rows."""
        count = data.draw(st.integers(0, self.keys.shape[2]))
        self.cache.truncate(count)
        self.keys, self.values = self.keys[:, :, :count], self.values[:, :, :count]

    @rule(beyond=st.integers(1, 3))
    def truncate_refused(self, beyond: int) -> None:
        """Truncate to more rows than there are: refused."""
        try:
            self.cache.truncate(self.keys.shape[2] + beyond)
        except fw.ShapeError:
            return
        raise AssertionError("the cache became longer")

    @rule(queries=st.integers(1, 3), causal=st.sampled_from([False, "bottom_right"]))
    def attend(self, queries: int, causal: Any) -> None:
        """Compute attention of some queries, with the cache and with a new one."""
        q = self.random.standard_normal((self.batch, 4, queries, _DIM)).astype(np.float32)
        other = self.new()
        other.append(self.keys, self.values)
        options: Any = {"causal": causal} if causal else {}
        found = self.cache.attention(q, return_lse=True, **options)
        expected = other.attention(q, return_lse=True, **options)
        for x, y in zip(found, expected, strict=True):
            assert x.tobytes() == y.tobytes()
        if self.dtype != "int8":
            plain = fw.attention(q, *self.cache.numpy(), causal=causal, runtime=self.runtime)
            assert found[0].tobytes() == plain.tobytes()

    @rule(nth=st.integers(1, 4), lasting=st.booleans())
    def attend_without_memory(self, nth: int, lasting: bool) -> None:
        """Compute attention while an allocation fails: an error, or the right result."""
        q = self.random.standard_normal((self.batch, 2, 3, _DIM)).astype(np.float32)
        expected = self.cache.attention(q)
        with allocation_fails(self.runtime, nth, lasting=lasting):
            try:
                found = self.cache.attention(q)
            except fw.OutOfMemoryError:
                return
        assert found.tobytes() == expected.tobytes()

    @rule()
    def go_on_with_a_copy(self) -> None:
        """Replace the cache by its copy, and fill the old one with other rows."""
        old, self.cache = self.cache, self.cache.copy()
        old.truncate(0)
        old.append(self.rows(_CAPACITY, _DIM), self.rows(_CAPACITY, _DV))

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, pickle.dumps]))
    def copy_refused(self, how: Any) -> None:
        """Copy the cache: refused, since two caches would share one memory."""
        try:
            how(self.cache)
        except TypeError:
            return
        raise AssertionError("a cache was copied")

    @invariant()
    def holds_its_rows(self) -> None:
        """Compare the rows, as they are rounded for storage, with those appended."""
        if not hasattr(self, "cache"):
            return
        assert len(self.cache) == self.keys.shape[2]
        for stored, rows in zip(self.cache.numpy(), (self.keys, self.values), strict=True):
            if self.dtype == "int8":
                step = np.abs(rows).max(axis=-1, keepdims=True, initial=0) / 127
                assert (np.abs(stored - rows) <= step * 0.501).all()
            else:
                assert np.array_equal(stored, rows.astype(self.dtype).astype(np.float32))

    def teardown(self) -> None:
        """Close the runtime: the cache is refused afterwards, and no byte was lost."""
        if not hasattr(self, "cache"):
            return
        audit_runtime(self.runtime)
        self.runtime.close()
        try:
            self.cache.append(self.rows(1, _DIM), self.rows(1, _DV))
        except (fw.ClosedError, fw.ShapeError):
            return
        raise AssertionError("a closed cache accepts rows")
