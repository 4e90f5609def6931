"""The cache of keys and values for repeated attention, as in decoding."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, overload

import numpy as np

from flashwasm.errors import ShapeError
from flashwasm.flash_attention.attention import attend
from flashwasm.flash_attention.cache_formats import cache_arrays
from flashwasm.flash_attention.cache_inputs import AXES, check_queries, checked_pair
from flashwasm.flash_attention.decoding import CheckedQueries, DecodingCall
from flashwasm.flash_attention.inputs import checked_inputs
from flashwasm.flash_attention.operands import KVStorage, keys_of_cache
from flashwasm.flash_attention.options import AttentionOptions, completed, shows_options
from flashwasm.kernel_table import ATTENTION_MAX_DIM
from flashwasm.keyword_hints import CACHE, knows_peers
from flashwasm.object_checks import dtype_name
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.locks import held, renewed_after_fork
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.summaries import summary
from flashwasm.validation import INT32_MAX, floats, integer, positive_int, shown

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from flashwasm.flash_attention.options import CacheCall
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

CacheDType: TypeAlias = Literal["float32", "float16", "int8"]
_DTYPES = get_args(CacheDType)


class KVCache(NotCopied):
    """Cache of the keys and values of a growing sequence, in linear memory.

    Parameters
    ----------
    heads : int
        Number of heads of keys and values, Hk.
    dim : int
        Head dimension D of keys, at most 256.
    capacity : int
        Maximum number of keys, for each batch entry.
    dv : int, optional
        Head dimension Dv of values, at most 256. None means ``dim``.
    dtype : {"float32", "float16", "int8"} or the same dtype of NumPy, default "float32"
        Format of the stored numbers; arithmetic is in float32. With "int8", each key and each value
        of each head has a factor of its own, so that its greatest magnitude is stored as 127.
    batch : int, default 1
        Number of sequences. They all have the same length.
    runtime : Runtime, optional
        Runtime whose linear memory holds the cache. None means the default runtime.

    Raises
    ------
    ShapeError, DTypeError, OutOfMemoryError, ClosedError

    Notes
    -----
    With float32 and float16, `KVCache.attention` returns the same bits as the function `attention`
    on the arrays that `numpy` returns, whether keys were appended one at a time or together. Calls
    with one or two queries are the fastest per query; the threads then share the keys of a head.
    Keeping keys and values for later queries follows Pope et al., "Efficiently Scaling Transformer
    Inference", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> cache = fw.KVCache(2, 8, capacity=100)
    >>> for _ in range(3):
    ...     cache.append(np.ones((2, 1, 8)), np.ones((2, 1, 8)))
    >>> len(cache), cache.attention(np.ones((4, 1, 8))).shape
    (3, (4, 1, 8))
    """

    _instead = "use its method copy, or make one in each process"

    @knows_peers(CACHE)
    def __init__(
        self,
        heads: int,
        dim: int,
        capacity: int,
        *,
        dv: int | None = None,
        dtype: CacheDType | np.dtype[Any] | type[np.generic] = "float32",
        batch: int = 1,
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime = checked_runtime(runtime)
        self._lock = renewed_after_fork(self, threading.RLock)  # No call sees half of a change.
        self.heads = positive_int(heads, "heads", INT32_MAX)
        self.dim = positive_int(dim, "dim", ATTENTION_MAX_DIM)
        self.dv = self.dim if dv is None else positive_int(dv, "dv", ATTENTION_MAX_DIM)
        self.capacity = positive_int(capacity, "capacity", INT32_MAX)
        self.batch = positive_int(batch, "batch", INT32_MAX)
        self.dtype: CacheDType = dtype_name(dtype, _DTYPES)
        dims = (self.dim, self.dv)
        self._k, self._v = cache_arrays(
            self.runtime, self.dtype, self.batch, self.heads, self.capacity, dims
        )
        self._length = 0
        self._views: dict[tuple[int, ...], tuple[Array, Array, KVStorage]] = {}
        self._decoding: CheckedQueries | None = None
        self._at_once: DecodingCall | None = None

    def append(self, k: ArrayLike, v: ArrayLike) -> None:
        """Add keys and their values at the end.

        Parameters
        ----------
        k : array_like of float, shape (Hk, n, D) or (batch, Hk, n, D)
            Keys. The batch axis may be left out if ``batch`` is 1.
        v : array_like of float, shape (Hk, n, Dv) or (batch, Hk, n, Dv)
            Values.

        Raises
        ------
        ShapeError
            If a shape is wrong, if a number is too large for float16, or if the cache is full. The
            cache does not change then.
        DTypeError
            If an operand is not an array of floats.
        ClosedError
            If the runtime was closed.
        """
        sizes, dims = (self.batch, self.heads), (self.dim, self.dv)
        keys, values = checked_pair(k, v, sizes, dims, self.dtype)
        count = keys.shape[2]
        with self._lock:
            self.runtime.check_open()
            if self._length + count > self.capacity:
                message = (
                    f"k: expected at most {self.capacity - self._length} keys, since the cache "
                    f"holds {self._length} of {self.capacity}, got {count}"
                )
                raise ShapeError(message)
            at = np.arange(self._length, self._length + count)
            self._k.write(at, keys)
            self._v.write(at, values)
            self._length += count

    @overload
    def attention(
        self, q: ArrayLike, *, return_lse: Literal[False] = False, **options: Unpack[CacheCall]
    ) -> NDArray[np.float32]: ...

    @overload
    def attention(
        self, q: ArrayLike, *, return_lse: Literal[True], **options: Unpack[CacheCall]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...

    @overload
    def attention(
        self, q: ArrayLike, *, return_lse: bool, **options: Unpack[CacheCall]
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]: ...

    @shows_options(AttentionOptions)
    def attention(
        self,
        q: ArrayLike,
        *,
        return_lse: bool = False,
        out: NDArray[np.float32] | None = None,
        timeout: float | None = None,
        **options: Unpack[AttentionOptions],
    ) -> NDArray[np.float32] | tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute exact attention of queries to all keys in the cache.

        With ``causal="bottom_right"`` the last query sees all keys.

        Parameters
        ----------
        q : array_like of float, shape (Hq, Lq, D) or (batch, Hq, Lq, D)
            Queries. Query head h reads key head ``h // (Hq // Hk)``.
        **options : AttentionOptions
            The options of `flashwasm.flash_attention.options.AttentionOptions`.
        return_lse : bool, default False
            True to return ``lse`` too.
        out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv), optional
            Array to write the output to. None means a new array.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        out : numpy.ndarray of float32, shape (..., Hq, Lq, Dv)
            The output, computed as in the function `attention`.
        lse : numpy.ndarray of float32, shape (..., Hq, Lq)
            Only with ``return_lse``: the log-sum-exp of each row, as in the function `attention`.

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        limited = timeout is not None or self.runtime.timeout is not None
        until = deadline(self.runtime, timeout) if limited else None
        with self._lock if until is None else held(self._lock, until):
            if self._at_once and not options and return_lse is False and until is None:
                result = self._at_once.attend(self.runtime, q, out, self._length)
                if result is not None:
                    return result
            queries = floats(q, "q", at_least=2)
            missing = queries.ndim - AXES
            lead = (self.batch,) if missing == 0 or self.batch > 1 else (1,) * (missing + 1)
            if lead not in self._views:
                self._views[lead] = self._view(lead)
            k, v, storage = self._views[lead]
            k, v = k[..., : self._length, :], v[..., : self._length, :]
            if not options and self._decoding and self._decoding.shape == queries.shape:
                inputs = self._decoding.with_arrays(queries, k, v)
            else:
                given = completed(options, AttentionOptions, KVCache.attention)
                check_queries(queries, self.batch, self.heads, self.dim)
                inputs = checked_inputs(queries, k, v, given, storage)
                if not options:
                    self._decoding = CheckedQueries.of(queries, inputs)
                    self._at_once = DecodingCall(self.runtime, queries, k, v, storage)
            return attend(self.runtime, inputs, out=out, with_lse=return_lse, timeout=until)

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` keys and remove the others.

        Parameters
        ----------
        n : int
            Number of keys to keep, from 0 to the length.

        Raises
        ------
        ShapeError, DTypeError, ClosedError
        """
        with self._lock:
            self.runtime.check_open()
            if not 0 <= integer(n, "n") <= self._length:
                message = f"n: expected from 0 to {self._length}, the length, got {shown(n)}"
                raise ShapeError(message)
            self._length = int(n)

    def copy(self) -> KVCache:
        """Return a new cache with the same sizes, dtype, keys and values, in the same runtime.

        Each of the two caches can then grow on its own, as in a beam search.

        Returns
        -------
        KVCache

        Raises
        ------
        OutOfMemoryError, ClosedError
        """
        with self._lock:
            self.runtime.check_open()
            copy = KVCache(
                self.heads,
                self.dim,
                self.capacity,
                dv=self.dv,
                dtype=self.dtype,
                batch=self.batch,
                runtime=self.runtime,
            )
            copy._k.copy_from(self._k, self._length)
            copy._v.copy_from(self._v, self._length)
            copy._length = self._length
        return copy

    def numpy(self) -> tuple[Array, Array]:
        """Return copies of keys and values, with the rounding of the storage format.

        Returns
        -------
        k : numpy.ndarray of float32, shape (batch, Hk, len, D)
            Keys.
        v : numpy.ndarray of float32, shape (batch, Hk, len, Dv)
            Values.

        Raises
        ------
        ClosedError
        """
        with self._lock:
            self.runtime.check_open()
            at = np.arange(self._length)
            return self._k.read(at), self._v.read(at)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        sizes = {"heads": self.heads, "dim": self.dim, "dv": self.dv, "batch": self.batch}
        keys = f"{self._length:,} of {self.capacity:,} keys"
        return summary(self, keys, **sizes, dtype=self.dtype, closed=self.runtime.closed)

    @property
    def nbytes(self) -> int:
        """Number of bytes of linear memory that the cache occupies."""
        return self._k.nbytes + self._v.nbytes

    def _view(self, lead: tuple[int, ...]) -> tuple[Array, Array, KVStorage]:
        """Return all rows of keys and values, with the leading axes ``lead``, and their storage."""
        k, v = (x.rows.reshape(lead + x.rows.shape[1:]) for x in (self._k, self._v))
        storage = KVStorage(self._k.kind, k.shape[-2])
        if self._k.scales is not None and self._v.scales is not None:
            storage = storage._replace(
                k_scales=self._k.scales.reshape(lead + self._k.scales.shape[1:]),
                v_scales=self._v.scales.reshape(lead + self._v.scales.shape[1:]),
            )
        return k, v, storage._replace(placed=keys_of_cache(self.runtime.arena, k, v, storage))
