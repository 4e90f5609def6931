"""The interface of a backend: `Backend`, and what its operations receive.

A new backend is a class that derives from `Backend`, in a module of its own, and a line in
`flashwasm.backends.registry`. The public functions check the arguments before. So an operation
receives float32 arrays that fit together, and writes no message about them.
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
    """Limits that a call has to keep.

    Attributes
    ----------
    threads : int
        Number of threads that may compute, the calling thread among them.
    check : callable
        Function without arguments, to be called between pieces of some milliseconds. It raises
        DeadlineExceeded or Cancelled if the call has to end, and lets Ctrl-C through.
    """

    threads: int
    check: Callable[[], None]


class AttentionWork(NamedTuple):
    """Operands and options of one call of attention. All arrays are C-contiguous.

    Query i of batch entry b sees key j if all of these hold: ``j < lengths[b]``;
    ``i + diagonals[b] - before <= j <= i + diagonals[b] + after``; and a boolean mask is True. The
    score is ``scale * (q . k)``; then, with a softcap, ``softcap * tanh(score / softcap)``; then
    minus ``alibi[h] * abs(j - i - diagonals[b])``; then plus a mask of floats.

    Attributes
    ----------
    q : numpy.ndarray of float32, shape (B, Hq, Lq, D)
        Queries.
    k, v : numpy.ndarray of float32, shape (B, Hk, Lk, D) and (B, Hk, Lk, Dv)
        Keys and values. Query head h reads key head ``h // (Hq // Hk)``. What a query does not see
        must not reach its row, whatever it holds.
    mask : numpy.ndarray of bool or float32, shape (B or 1, Hq or 1, Lq or 1, Lk or 1), or None
        True lets a key take part; floats are added to the scores.
    diagonals, lengths : numpy.ndarray of int64, shape (B,)
        Offsets of the diagonals, and numbers of keys that count.
    before, after : int
        Most keys that a query sees before and after its diagonal. 2**29 and more means all. The
        causal rule makes ``after`` 0.
    scale, softcap : float
        Factor of the scores, and their bound; a softcap of 0 is none.
    alibi, sinks : numpy.ndarray of float32, shape (Hq,), or None
        Slope of each query head; and one more logit of each, which takes weight and has no value.
    dropout : float
        Probability that a weight is dropped; 0 unless `Backend.options` has "dropout".
    seed : int
        Seed of dropout.
    with_lse : bool
        True if the log-sum-exp is wanted too.
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
    """One way to compute the operations outside the sandbox.

    There is one object of a class in a process. It is made when it is first asked for, and any
    thread may call it. The constructor raises CapabilityError, which says how to get what is
    missing, if the backend cannot run on this machine.

    Attributes
    ----------
    name : str
        Name that ``backend=`` takes.
    bits_promised : bool
        True if equal operands give equal bits on every machine, as the sandbox promises.
    emulated : bool
        True if what computes only imitates a device, far more slowly than the sandbox computes.
        Hybrid leaves it out.
    """

    name: ClassVar[str]
    bits_promised: ClassVar[bool] = False
    emulated: bool = False

    @abstractmethod
    def description(self) -> str:
        """Return one line that says what computes: the library or device, and its version."""

    @abstractmethod
    def versions(self) -> str:
        """Return what timings of this backend depend on: versions, and the device's name."""

    @abstractmethod
    def options(self, operation: Operation) -> frozenset[str]:
        """Return the names of the options that an operation of this backend can do.

        For "attention" they are among "causal", "mask", "scale", "window", "softcap",
        "alibi_slopes", "sinks", "dropout", "kv_lengths" and "return_lse"; for "matmul" "bias"; for
        "softmax" none; for "layer_norm" "weight" and "bias"; for "cosine_top_k" the values of
        ``metric``: "cosine", "dot" and "l2". An option that is not named here raises
        CapabilityError, with the option's name, before the operation is called.
        """

    @abstractmethod
    def attention(self, work: AttentionWork, limits: Limits) -> tuple[Array, Array | None]:
        """Return the output (B, Hq, Lq, Dv), and the log-sum-exp (B, Hq, Lq) if it is wanted.

        A row whose query sees no key is zeros; its log-sum-exp is -inf, or the sink. NaN in what a
        query sees gives NaN.
        """

    @abstractmethod
    def matmul(self, a: Array, b: Array, bias: Array | None, limits: Limits) -> Array:
        """Return a (..., m, k) times b (..., k, n), plus a bias (n,); leading axes broadcast.

        The operands may have any strides: a transposed view is not copied before.
        """

    @abstractmethod
    def softmax(self, x: Array, limits: Limits) -> Array:
        """Return the softmax along the rows of x (rows, columns).

        A row with NaN or +inf, or of nothing but -inf, becomes NaN.
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

        The highest score comes first, and among equal ones the row of the lowest number; NaN ranks
        below every number. The cosine lies in [-1, 1] and is 0 for a zero vector; "l2" is minus the
        squared distance.
        """
