"""`NativeBackend`: the operations in NumPy, outside the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flashwasm.backends.backend import Backend
from flashwasm.backends.native.attention import attend
from flashwasm.backends.native.products import multiply
from flashwasm.backends.native.rows import normalize, softmax
from flashwasm.backends.native.search import search
from flashwasm.backends.native.threads import Threads
from flashwasm.backends.native.torch_attention import TorchAttention, is_plain, torch_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flashwasm.backends.backend import AttentionWork, Limits, Metric, Operation

    Array = NDArray[Any]

__all__ = ["NativeBackend"]

_OPTIONS: Mapping[Operation, frozenset[str]] = {
    # All options except dropout, whose random numbers only the sandbox generates.
    "attention": frozenset(
        {
            "causal",
            "mask",
            "scale",
            "window",
            "softcap",
            "alibi_slopes",
            "sinks",
            "kv_lengths",
            "return_lse",
        }
    ),
    "matmul": frozenset({"bias"}),
    "softmax": frozenset(),
    "layer_norm": frozenset({"weight", "bias"}),
    "cosine_top_k": frozenset({"cosine", "dot", "l2"}),
}


class NativeBackend(Backend):
    """The operations in NumPy and its BLAS, and plain attention in PyTorch if it is installed.

    Raises
    ------
    CapabilityError
        If threadpoolctl, which the extra ``native`` includes, is not installed.
    """

    name: ClassVar[str] = "native"

    def __init__(self) -> None:
        self._threads = Threads()
        self._torch_version = torch_version()
        self._torch = TorchAttention() if self._torch_version else None

    def description(self) -> str:
        """Return the versions of NumPy, its BLAS, and PyTorch if it computes attention."""
        text = f"NumPy {np.__version__} with {self._threads.blas()}"
        return f"{text}; attention by torch {self._torch_version}" if self._torch else text

    def versions(self) -> str:
        """Return the description, since timings depend on everything in it."""
        return self.description()

    def options(self, operation: Operation) -> frozenset[str]:
        """Return the names of an operation's supported options: all except dropout."""
        return _OPTIONS[operation]

    def attention(self, work: AttentionWork, limits: Limits) -> tuple[Array, Array | None]:
        """Compute attention in PyTorch if the call is plain, else block by block in NumPy."""
        if self._torch is not None and is_plain(work):
            return self._torch.attend(work, limits), None
        return attend(work, self._threads, limits)

    def matmul(self, a: Array, b: Array, bias: Array | None, limits: Limits) -> Array:
        """Multiply with BLAS."""
        return multiply(a, b, bias, self._threads, limits)

    def softmax(self, x: Array, limits: Limits) -> Array:
        """Compute softmax along the rows."""
        return softmax(x, self._threads, limits)

    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float, limits: Limits
    ) -> Array:
        """Normalise the rows."""
        return normalize(x, weight, bias, eps, self._threads, limits)

    def top_k(
        self, queries: Array, corpus: Array, k: int, metric: Metric, limits: Limits
    ) -> tuple[Array, Array]:
        """Search the corpus piece by piece."""
        return search(queries, corpus, k, metric, self._threads, limits)
