"""The class of the backend "gpu"."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from flashwasm.backends.backend import Backend
from flashwasm.backends.gpu.adapter import check_not_forked
from flashwasm.backends.gpu.attention import attention
from flashwasm.backends.gpu.device import MOST_BYTES, Device
from flashwasm.backends.gpu.products import matmul
from flashwasm.backends.gpu.rows import layer_norm, softmax
from flashwasm.backends.gpu.top_k import top_k
from flashwasm.errors import DeviceError, OutOfMemoryError
from flashwasm.optional_packages import optional_module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from flashwasm.backends.backend import AttentionWork, Limits, Metric, Operation

    Array = NDArray[Any]

__all__ = ["GpuBackend"]

Result = TypeVar("Result")

_ATTENTION = (
    "causal",
    "mask",
    "scale",
    "window",
    "softcap",
    "alibi_slopes",
    "sinks",
    "kv_lengths",
    "return_lse",
)
# All options except dropout, whose random numbers only the sandbox generates.
_OPTIONS: Mapping[Operation, frozenset[str]] = {
    "attention": frozenset(_ATTENTION),
    "matmul": frozenset({"bias"}),
    "softmax": frozenset(),
    "layer_norm": frozenset({"weight", "bias"}),
    "cosine_top_k": frozenset({"cosine", "dot", "l2"}),
}


class GpuBackend(Backend):
    """The backend "gpu": compute shaders on the fastest GPU that WebGPU finds.

    Calls from several threads run one after another. After an error of the driver, the device is
    closed, and the next call opens a new one.

    Raises
    ------
    CapabilityError
        If the extra ``gpu`` is not installed, or if no adapter is found.
    """

    name: ClassVar[str] = "gpu"
    # Maximum number of bytes of an operand in one buffer, for tests with small parts. None means
    # the number that every device can bind.
    most_bytes: int | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._device: Device | None = Device()
        self._info: Any = self._device.info
        self.emulated = self._info["adapter_type"] == "CPU"

    def description(self) -> str:
        """Return the adapter's name, its graphics interface and its driver."""
        info = self._info
        kind = "CPU, " if self.emulated else ""
        return f"{info['device']} ({kind}{info['backend_type']}, {info['description']})"

    def versions(self) -> str:
        """Return the version of wgpu, the adapter and its driver."""
        wgpu: Any = optional_module("wgpu", extra="gpu")
        return f"wgpu {wgpu.__version__}, {self.description()}"

    def options(self, operation: Operation) -> frozenset[str]:
        """Return the options that an operation supports."""
        return _OPTIONS[operation]

    def attention(self, work: AttentionWork, limits: Limits) -> tuple[Array, Array | None]:
        """Return the output, and the log-sum-exp or None."""
        return self._call(lambda device: attention(device, work, limits))

    def matmul(self, a: Array, b: Array, bias: Array | None, limits: Limits) -> Array:
        """Return the product of matrices."""
        return self._call(lambda device: matmul(device, a, b, bias, limits))

    def softmax(self, x: Array, limits: Limits) -> Array:
        """Return the softmax of rows."""
        return self._call(lambda device: softmax(device, x, limits))

    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float, limits: Limits
    ) -> Array:
        """Return normalised rows."""
        return self._call(lambda device: layer_norm(device, x, weight, bias, eps, limits))

    def top_k(
        self, queries: Array, corpus: Array, k: int, metric: Metric, limits: Limits
    ) -> tuple[Array, Array]:
        """Return the best scores and rows of each query."""
        return self._call(lambda device: top_k(device, queries, corpus, k, metric, limits))

    def close(self) -> None:
        """Close the device and release its memory. The next call opens a new one."""
        with self._lock:
            self._give_up()

    def _call(self, compute: Callable[[Device], Result]) -> Result:
        """Compute with the device; close it if it fails or runs out of memory."""
        check_not_forked()
        with self._lock:
            if self._device is None:
                self._device = Device()
            self._device.most_bytes = self.most_bytes or MOST_BYTES
            try:
                with self._device.failures():
                    return compute(self._device)
            except OutOfMemoryError:
                self._device.drop_buffers()
                if not self._device.answers():
                    self._give_up()
                raise
            except DeviceError:
                self._give_up()
                raise

    def _give_up(self) -> None:
        """Close the device, in whatever state it is."""
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(Exception):
                device.close()
