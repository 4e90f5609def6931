"""The interface of a backend: `Backend`, and the arguments of its operations.

To add a backend, derive a class from `Backend` in a new module, and add a line to
`flashwasm.backends.registry`. The public functions check all arguments first, so an operation
receives float32 arrays with matching shapes and need not check them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

__all__ = ["AttentionWork", "Backend", "Limits", "Metric", "Operation"]

Operation: TypeAlias = Literal["attention", "matmul", "softmax", "layer_norm", "cosine_top_k"]
Metric: TypeAlias = Literal["cosine", "dot", "l2"]


class Limits(NamedTuple):
    """Limits that a call must observe.

    Attributes
    ----------
    threads : int
        Number of threads that may compute, including the calling thread.
    check : callable
        Function without arguments to call every few milliseconds. It raises DeadlineExceeded or
        Cancelled if the call must end, and lets Ctrl-C take effect.
    """

    threads: int
    check: Callable[[], None]


class AttentionWork(NamedTuple):
    """Operands and options of one call of attention. All arrays are C-contiguous.

    Query i of batch entry b sees key j if all of these are true: ``j < lengths[b]``; ``i +
    diagonals[b] - before <= j <= i + diagonals[b] + after``; and the mask, if it is boolean, is
    True. The score is computed in this order: ``scale * (q . k)``; with a softcap, ``softcap *
    tanh(score / softcap)``; minus ``alibi[h] * abs(j - i - diagonals[b])``; plus the mask, if it
    consists of floats.

    Attributes
    ----------
    q : numpy.ndarray of float32, shape (B, Hq, Lq, D)
        Queries.
    k, v : numpy.ndarray of float32, shape (B, Hk, Lk, D) and (B, Hk, Lk, Dv)
        Keys and values. Query head h reads key head ``h // (Hq // Hk)``. A key or value that a
        query does not see must not affect the query's row, even if it is NaN or infinite.
    mask : numpy.ndarray of bool or float32, shape (B or 1, Hq or 1, Lq or 1, Lk or 1), or None
        Booleans are True for each key that a query sees; floats are added to the scores.
    diagonals, lengths : numpy.ndarray of int64, shape (B,)
        Offsets of the diagonals, and numbers of keys that are not padding.
    before, after : int
        Maximum number of keys that a query sees before and after its diagonal. 2**29 or more means
        all. The causal rule makes ``after`` 0.
    scale, softcap : float
        Factor of the scores, and their bound; a softcap of 0 means no bound.
    alibi, sinks : numpy.ndarray of float32, shape (Hq,), or None
        ALiBi slope of each query head; and one more logit of each, which has no value.
    dropout : float
        Probability of dropping a weight; 0 unless `Backend.options` has "dropout".
    seed : int
        Seed of dropout.
    with_lse : bool
        True to return the log-sum-exp too.
    """

    q: Array
    k: Array
    v: Array
    mask: Array | None
    diagonals: Array
    lengths: Array
    before: int
    after: int
    scale: float
    softcap: float
    alibi: Array | None
    sinks: Array | None
    dropout: float
    seed: int
    with_lse: bool


class Backend(ABC):
    """Base class of a backend, which computes operations outside the sandbox.

    A process has one instance of each backend, which is created when it is first used. Any thread
    may call it. If the backend cannot run on this machine, the constructor raises CapabilityError,
    whose message says how to install what is missing.

    Attributes
    ----------
    name : str
        Value of ``backend=`` that selects the backend.
    bits_promised : bool
        True if the backend guarantees the same bits for the same operands on every machine, as the
        sandbox does.
    emulated : bool
        True if a software device emulates the hardware, far more slowly than the sandbox computes.
        "hybrid" never chooses it.
    """

    name: ClassVar[str]
    bits_promised: ClassVar[bool] = False
    emulated: bool = False

    @abstractmethod
    def description(self) -> str:
        """Return one line with the library or device that computes, and its version."""

    @abstractmethod
    def versions(self) -> str:
        """Return the versions and device names on which timings of this backend depend."""

    @abstractmethod
    def options(self, operation: Operation) -> frozenset[str]:
        """Return the names of the options that an operation of this backend supports.

        The possible names are: for "attention", "causal", "mask", "scale", "window", "softcap",
        "alibi_slopes", "sinks", "dropout", "kv_lengths" and "return_lse"; for "matmul", "bias"; for
        "softmax", none; for "layer_norm", "weight" and "bias"; for "cosine_top_k", the values of
        ``metric``: "cosine", "dot" and "l2". If a call uses an option that is not returned here,
        flashwasm raises CapabilityError with the option's name, and does not call the operation.
        """

    @abstractmethod
    def attention(self, work: AttentionWork, limits: Limits) -> tuple[Array, Array | None]:
        """Return the output (B, Hq, Lq, Dv), and the log-sum-exp (B, Hq, Lq) or None.

        If a query sees no key, its row is zeros, and its log-sum-exp is -inf, or the sink. NaN in a
        key or value that a query sees gives NaN.
        """

    @abstractmethod
    def matmul(self, a: Array, b: Array, bias: Array | None, limits: Limits) -> Array:
        """Return a (..., m, k) times b (..., k, n), plus a bias (n,); leading axes broadcast.

        The operands may have any strides: a transposed view is passed without a copy.
        """

    @abstractmethod
    def softmax(self, x: Array, limits: Limits) -> Array:
        """Return the softmax along the rows of x (rows, columns).

        A row that contains NaN or +inf, or only -inf, becomes NaN.
        """

    @abstractmethod
    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float, limits: Limits
    ) -> Array:
        """Normalise the rows of x (rows, columns); weight and bias have the shape (columns,)."""

    @abstractmethod
    def top_k(
        self, queries: Array, corpus: Array, k: int, metric: Metric, limits: Limits
    ) -> tuple[Array, Array]:
        """Return the k best scores (n, k), float32, and rows (n, k), int64, for queries (n, D).

        The highest score comes first. Rows with equal scores are in ascending order, and NaN ranks
        below every number. The cosine is in [-1, 1], and 0 for a zero vector. "l2" is minus the
        squared distance.
        """
