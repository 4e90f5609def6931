"""Decoding: repeated attention with queries of one shape, to one more key each time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.errors import OutOfMemoryError
from flashwasm.flash_attention.inputs import AttentionInputs, checked_inputs
from flashwasm.flash_attention.kernel_parameters import BatchEntry, KernelParameters
from flashwasm.flash_attention.operands import Operands, contiguous
from flashwasm.flash_attention.options import DEFAULTS
from flashwasm.flash_attention.schedule import ROW_QUERIES, RowSchedule, Tile
from flashwasm.host.workers import check_status
from flashwasm.kernel_table import ATTENTION
from flashwasm.runtime.kernel_calls import resident_result, run_at_once
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.flash_attention.operands import KVStorage
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

__all__ = ["CheckedQueries", "DecodingCall"]

# Replaces the operands in cached inputs, so that the cache keeps no array alive.
_NOTHING = np.empty(0, np.float32)


class CheckedQueries(NamedTuple):
    """The checked inputs of the last call without options, except for its operands.

    In decoding, each call has queries of the same shape and one more key than the call before. Such
    a call reuses these inputs instead of checking its own.

    Attributes
    ----------
    shape : tuple of int
        Shape of the queries as the user gave them.
    with_axes : tuple of int
        Their shape with all leading axes and the head axis.
    inputs : AttentionInputs
        The inputs.
    """

    shape: tuple[int, ...]
    with_axes: tuple[int, ...]
    inputs: AttentionInputs

    @classmethod
    def of(cls, queries: Array, inputs: AttentionInputs) -> CheckedQueries:
        """Return the checked inputs of queries as the user gave them, without their arrays."""
        bare = replace(inputs, q=_NOTHING, k=_NOTHING, v=_NOTHING)
        return cls(queries.shape, inputs.q.shape, bare)

    def with_arrays(self, q: Array, k: Array, v: Array) -> AttentionInputs:
        """Return the inputs for other queries of the shape, and for the keys so far."""
        lengths = np.full(self.inputs.lead, k.shape[-2])
        return replace(self.inputs, q=q.reshape(self.with_axes), k=k, v=v, lengths=lengths)


class DecodingCall:
    """Attention of a few resident queries to all keys of a cache, by one call of the kernel.

    Parameters
    ----------
    rt : Runtime
        The runtime in which the cache lies.
    q : numpy.ndarray
        Queries.
    k, v : numpy.ndarray
        Keys and values of the cache.
    storage : KVStorage
        Their format and place.

    Attributes
    ----------
    shape : tuple of int
        Shape of the queries, for which this was made.
    """

    def __init__(self, rt: Runtime, q: Array, k: Array, v: Array, storage: KVStorage) -> None:
        inputs = checked_inputs(q, k, v, DEFAULTS, storage)
        heads, queries, dim = inputs.q.shape[-3:]
        keys, value_dim = inputs.v.shape[-2:]
        self.shape = q.shape
        self._result_shape = inputs.result_shape
        self._queries = queries
        self._products = math.inf
        placed = storage.placed
        if math.prod(inputs.lead) != 1 or not 0 < queries <= ROW_QUERIES or placed is None:
            return
        floats = RowSchedule(heads, queries, keys).partial_floats(heads, queries, keys, value_dim)
        try:
            # Calls by several threads may share this: the runtime's lock is held during a call.
            self._partials, offset = rt.arena.array((floats,))
        except OutOfMemoryError:  # A launch can still compute it in parts.
            return
        # With one thread, a launch could not share the work, so larger calls are allowed. Memory
        # bandwidth limits decoding, hence a quarter of the usual limit, as in RowSchedule.
        most = MOST_PRODUCTS if rt.threads == 1 else FEWEST_PRODUCTS
        self._products = heads * queries * (dim + value_dim) / (most // 4)
        operands = Operands(
            q=contiguous(0, inputs.q.shape),
            k=placed.k,
            v=placed.v,
            out=contiguous(0, inputs.shape),
            k_scales=placed.k_scales,
            v_scales=placed.v_scales,
        )
        parameters = KernelParameters.of(inputs, operands)
        entry = BatchEntry.of(inputs, operands, (0,) * len(inputs.lead), offset)
        tile = Tile((0, heads), (0, queries), (0, keys))
        ((arguments,),) = parameters.tasks(entry, [[tile]])
        # The other arguments, the addresses of q and of the output and the number of keys, change
        # with each call.
        self._placed, self._middle, self._rest = arguments[1:3], arguments[4:17], arguments[21:]

    def attend(self, rt: Runtime, q: Any, out: Array | None, keys: int) -> Array | None:
        """Return the output, or None without computing anything if the call needs a launch.

        The caller holds the cache's lock, and there is no time limit. The call needs a launch
        unless the work is small and the queries are a whole resident array of the expected shape.

        Parameters
        ----------
        rt : Runtime
            The runtime.
        q : numpy.ndarray
            Queries.
        out : numpy.ndarray, optional
            Array to write the output to.
        keys : int
            Number of keys in the cache.
        """
        if not keys or self._products * keys > 1:
            return None
        offsets = rt.arena.whole_arrays((q,) if out is None else (q, out))
        if offsets is None or q.shape != self.shape:
            return None
        result = resident_result(rt, offsets, out, self._result_shape)
        if result is None:
            return None
        at, to = offsets
        sizes = (keys, 1, self._queries, keys)
        arguments = (at, *self._placed, to, *self._middle, *sizes, *self._rest)
        check_status(ATTENTION, run_at_once(rt, ATTENTION, arguments))
        return result
