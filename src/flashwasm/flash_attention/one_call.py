"""Attention of small resident arrays, by one call of the kernel and without a launch.

For a few rows, the checks, the schedule and the records of a launch take several times as long as
the kernel. This module therefore caches the kernel's arguments by the operands' shapes, and
replaces only the addresses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.kernel_parameters import BatchEntry, KernelParameters
from flashwasm.flash_attention.operands import Operands, contiguous
from flashwasm.flash_attention.options import AttentionOptions, completed
from flashwasm.flash_attention.schedule import ROW_QUERIES, Tile
from flashwasm.host.workers import check_status
from flashwasm.kernel_table import ATTENTION, ATTENTION_KEY_BLOCK
from flashwasm.runtime.kernel_calls import resident_result, run_at_once
from flashwasm.runtime.work_limits import FEWEST_PRODUCTS, MOST_PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

__all__ = ["attend_at_once"]

# The options whose values are part of a prepared call's key.
_OPTIONS = {"causal"}
# Maximum number of cached calls.
_MOST_PREPARED = 256


class _Prepared(NamedTuple):
    """The properties of a call that follow from the shapes of its operands.

    Attributes
    ----------
    products : float
        Number of multiply-adds; infinity if the call needs a launch.
    shape : tuple of int
        Shape of the output.
    rest : tuple of float
        The kernel's arguments after the addresses of q, k, v and the output.
    """

    products: float
    shape: tuple[int, ...]
    rest: tuple[float, ...]


_prepared: dict[tuple[object, ...], _Prepared] = {}


def attend_at_once(
    rt: Runtime, q: Any, k: Any, v: Any, out: Array | None, options: Mapping[str, Any]
) -> Array | None:
    """Return the output, or None without computing anything if the call needs a launch.

    It needs a launch unless the work is small, ``causal`` is the only option, and all operands are
    whole resident arrays (not views).
    """
    causal = options.get("causal", False)
    if rt.timeout is not None or not options.keys() <= _OPTIONS or type(causal) not in {bool, str}:
        return None
    given = (q, k, v) if out is None else (q, k, v, out)
    offsets = rt.arena.whole_arrays(given)
    if offsets is None:
        return None
    key = (q.shape, k.shape, v.shape, causal)
    call = _prepared.get(key)
    if call is None:
        if len(_prepared) >= _MOST_PREPARED:
            _prepared.clear()
        call = _prepared[key] = _prepare(q, k, v, causal=causal)
    # With one thread, a launch could not share the work, so larger calls are allowed.
    if call.products > (MOST_PRODUCTS if rt.threads == 1 else FEWEST_PRODUCTS):
        return None
    result = resident_result(rt, offsets, out, call.shape)
    if result is None:
        return None
    check_status(ATTENTION, run_at_once(rt, ATTENTION, (*offsets, *call.rest)))
    return result


def _prepare(q: Array, k: Array, v: Array, *, causal: bool | str) -> _Prepared:
    """Check the shapes, and return the call for them."""
    options = completed({"causal": causal}, AttentionOptions, attend_at_once)
    inputs = checked_inputs(q, k, v, options)
    heads, queries, dim = inputs.q.shape[-3:]
    keys, value_dim = inputs.v.shape[-2:]
    # Computing one query after another is faster for a few queries with many keys, but needs more
    # memory.
    one_by_one = queries <= ROW_QUERIES and keys > ATTENTION_KEY_BLOCK
    if math.prod(inputs.lead) != 1 or one_by_one:
        return _Prepared(math.inf, (), ())
    shapes = (inputs.q.shape, inputs.k.shape, inputs.v.shape, inputs.shape)
    operands = Operands(*(contiguous(0, shape) for shape in shapes))
    parameters = KernelParameters.of(inputs, operands)
    entry = BatchEntry.of(inputs, operands, (0,) * len(inputs.lead))
    tile = Tile((0, heads), (0, queries), (0, entry.keys))
    ((arguments,),) = parameters.tasks(entry, [[tile]])
    products = float(heads * queries * keys * (dim + value_dim))
    return _Prepared(products, inputs.result_shape, arguments[4:])
