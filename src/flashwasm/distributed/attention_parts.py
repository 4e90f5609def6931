"""Exact attention whose keys and values are divided among workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flashwasm.distributed.array_sources import ArraySource, loaded, source_of
from flashwasm.distributed.executors import Call, results_in_order, workers_of
from flashwasm.distributed.worker_runtime import WorkerSetup
from flashwasm.errors import CapabilityError, ShapeError
from flashwasm.flash_attention.attention import attention as attention_here
from flashwasm.flash_attention.merging import merge_attention
from flashwasm.flash_attention.options import AttentionOptions, completed
from flashwasm.flash_attention.score_modifiers import checked_diagonals, is_causal
from flashwasm.integer_checks import key_lengths
from flashwasm.summaries import number_of
from flashwasm.validation import as_array, flag, floats, narrowed, positive_int

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike
    from typing_extensions import Unpack

__all__ = ["attention"]

Array = npt.NDArray[Any]
Result = tuple[Array, Array]

# Default size of the keys and values of a part in bytes, as float32. The number of parts determines
# the order of merging, and so the last bits. It must therefore not depend on the workers.
_PART_BYTES = 32 << 20


def attention(
    executor: Any,
    q: ArrayLike,
    k: ArrayLike | str | PathLike[str],
    v: ArrayLike | str | PathLike[str],
    *,
    part_keys: int | None = None,
    return_lse: bool = False,
    **options: Unpack[AttentionOptions],
) -> Array | Result:
    """Compute exact attention over keys and values that may exceed a worker's memory.

    Each worker computes attention over a part of the keys. The results are merged in pairs, in an
    order that depends only on the number of parts, so the bits do not depend on the workers.

    Parameters
    ----------
    executor : object
        Executor of the workers: `LocalWorkers`, a pool of `concurrent.futures`, or a
        ``dask.distributed.Client``.
    q : array_like of float, shape (..., Hq, Lq, D)
        Queries, as for `flashwasm.attention`.
    k : array_like of float, shape (..., Hk, Lk, D)
        Keys: an array, the path of a .npy file that the workers can read, or a dask array.
    v : array_like of float, shape (..., Hk, Lk, Dv)
        Values, in one of the same forms.
    part_keys : int, optional
        Number of keys in a part. None means the number that occupies 32 MiB together with the
        values.
    return_lse : bool, default False
        True to return ``lse`` too.
    **options : AttentionOptions
        The options of `flashwasm.attention` except dropout. ``window`` and ``alibi_slopes`` require
        ``causal``, for example "top_left", because it determines the diagonal of each part.

    Returns
    -------
    out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv)
        Output.
    lse : numpy.ndarray of float32, shape (..., Hq, Lq)
        Log-sum-exp of each row; only with ``return_lse``.

    Raises
    ------
    CapabilityError
        If an option is not supported, or if the worker that computed a part ended several times.
    ShapeError, DTypeError, CorruptFileError, OutOfMemoryError, OSError

    Examples
    --------
    >>> import numpy as np
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from flashwasm import distributed
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 4, 50, 8), np.float32)
    >>> with ThreadPoolExecutor(2) as pool:
    ...     distributed.attention(pool, q, k, v, part_keys=20).shape
    (4, 50, 8)
    """
    workers = workers_of(executor)
    queries = floats(q, "q", at_least=2)
    keys, values = source_of(k, "k", -2), source_of(v, "v", -2)
    if keys.length != values.length or not keys.length:
        raise ShapeError(
            f"v: expected as many values as keys, at least one, got shapes {keys.shape} "
            f"and {values.shape}"
        )
    step = _part_keys(keys, values) if part_keys is None else positive_int(part_keys, "part_keys")
    flag(return_lse, "return_lse")
    cutter = _OptionCutter(
        queries, keys, dict(completed(options, AttentionOptions, attention_here))
    )
    setup = WorkerSetup.of(workers)

    def calls() -> Iterator[Call]:
        for start in range(0, keys.length, step):
            stop = min(start + step, keys.length)
            parts = keys.part(start, stop), values.part(start, stop)
            yield Call(_attend, (setup, queries, *parts, cutter.between(start, stop)))

    out, lse = _merged_in_pairs(results_in_order(workers, calls()))
    if cutter.sinks is not None:
        # The sinks must be counted only once, so they are merged like one more set of keys whose
        # values are zeros.
        own = np.broadcast_to(narrowed(cutter.sinks)[:, None], lse.shape)
        out, lse = merge_attention([out, np.zeros_like(out)], [lse, own])
    return (out, lse) if return_lse else out


def _attend(setup: WorkerSetup, q: Array, k: Any, v: Any, options: AttentionOptions) -> Result:
    """Compute attention over a part of the keys, in a worker."""
    return attention_here(
        q, loaded(k), loaded(v), return_lse=True, runtime=setup.runtime(), **options
    )


def _merged_in_pairs(results: Iterable[Result]) -> Result:
    """Merge the results of parts in the order of a fixed tree, with only a few in memory at a time.

    Neighbours are merged first, then neighbours of these pairs, and so on. At the end, the
    remaining results are merged from the last to the first.
    """
    # Results of complete subtrees, each with the number of its parts. The numbers are decreasing
    # powers of two.
    trees: list[tuple[int, Result]] = []
    for result in results:
        size, merged = 1, result
        while trees and trees[-1][0] == size:
            merged = _merged(trees.pop()[1], merged)
            size *= 2
        trees.append((size, merged))
    _, whole = trees.pop()
    while trees:
        whole = _merged(trees.pop()[1], whole)
    return whole


def _merged(first: Result, second: Result) -> Result:
    """Merge the results of two sets of keys."""
    return merge_attention([first[0], second[0]], [first[1], second[1]])


def _part_keys(keys: ArraySource, values: ArraySource) -> int:
    """Return the default number of keys in a part."""
    elements = (np.prod(keys.shape) + np.prod(values.shape)) / keys.length
    return max(int(_PART_BYTES / (4 * max(elements, 1))), 1)


class _OptionCutter:
    """Converter of the options of attention for all keys to those for a part of the keys.

    Parameters
    ----------
    queries : numpy.ndarray
        The queries.
    keys : ArraySource
        All keys.
    options : dict
        All options of `attention`.
    """

    def __init__(self, queries: Array, keys: ArraySource, options: dict[str, Any]) -> None:
        _refuse_unsupported(options)
        sinks, mask = options.pop("sinks"), options.pop("mask")
        lengths, diagonal = options.pop("kv_lengths"), options.pop("causal")
        self._mask = None if mask is None else _checked_mask(mask, keys.length)
        self._lengths = None if lengths is None else key_lengths(lengths, keys.length)
        self._diagonals: Array | None = None
        if is_causal(diagonal):
            every = np.array(keys.length) if self._lengths is None else self._lengths
            lead = np.broadcast_shapes(every.shape, *_lead_of(diagonal))
            self._diagonals = checked_diagonals(
                diagonal, queries.shape[-2], keys.length, np.broadcast_to(every, lead)
            )
        self.sinks = None if sinks is None else _checked_sinks(sinks, queries)
        self._others = options

    def between(self, start: int, stop: int) -> dict[str, Any]:
        """Return the options for the keys between two positions."""
        cut = dict(self._others)
        if self._mask is not None:
            cut["mask"] = self._mask[..., start:stop] if self._mask.shape[-1] > 1 else self._mask
        if self._lengths is not None:
            cut["kv_lengths"] = np.clip(self._lengths - start, 0, stop - start)
        if self._diagonals is not None:
            moved = self._diagonals - start
            cut["causal"] = moved if moved.ndim else int(moved)
        return cut


def _refuse_unsupported(options: dict[str, Any]) -> None:
    """Raise CapabilityError if an option has no meaning for a part of the keys."""
    if options["dropout"]:
        raise CapabilityError(
            "dropout: not supported by flashwasm.distributed, which cuts the keys into parts"
        )
    for name in ("window", "alibi_slopes"):
        if options[name] is not None and not is_causal(options["causal"]):
            raise CapabilityError(
                f'{name}: flashwasm.distributed requires causal with it, such as "top_left"'
            )


def _checked_mask(mask: Any, keys: int) -> Array:
    """Return a mask as an array, which has one column for each key, or one for all."""
    array = as_array(mask, "mask")
    if array.ndim == 0 or array.shape[-1] not in {1, keys}:
        raise ShapeError(
            f"mask: expected {number_of(keys, 'columns')}, one for each key, or 1, "
            f"got shape {array.shape}"
        )
    return array


def _checked_sinks(sinks: Any, queries: Array) -> Array:
    """Return the sinks as an array of floats, one for each head of the queries."""
    heads = queries.shape[-3] if queries.ndim > 2 else 1
    array = floats(sinks, "sinks", 1)
    if array.shape != (heads,):
        raise ShapeError(f"sinks: expected shape ({heads},), got {array.shape}")
    if queries.ndim == 2:
        raise ShapeError("sinks: expected q with a head axis, got two axes")
    return array


def _lead_of(causal: Any) -> tuple[tuple[int, ...], ...]:
    """Return a tuple with the shape of an array of offsets; an empty tuple for other rules."""
    return () if isinstance(causal, (bool, str, np.bool_)) else (np.shape(causal),)
