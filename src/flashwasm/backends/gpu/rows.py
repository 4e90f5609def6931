"""Softmax and layer norm of rows on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.gpu.device import shader
from flashwasm.backends.gpu.parts import slices
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Limits
    from flashwasm.backends.gpu.device import Binding, Device

    Array = NDArray[Any]

__all__ = ["layer_norm", "softmax"]

# Threads that share a row, and the number of their passes over it.
_THREADS = 64
_PASSES = 3


def softmax(device: Device, x: Array, limits: Limits) -> Array:
    """Return the softmax along the rows of x (rows, columns)."""
    source = shader("workgroups", "elementary", "row_sums", "softmax")

    def run(rows: Binding, result: Binding, count: int) -> None:
        device.run(source, (x.shape[1],), (rows, result), count)

    return _in_parts(device, "softmax", x, run, limits)


def layer_norm(
    device: Device,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    limits: Limits,
) -> Array:
    """Normalise the rows of x (rows, columns); weight and bias have the shape (columns,)."""
    source = shader(
        "workgroups",
        "row_sums",
        "layer_norm",
        WEIGHT=weight is not None,
        BIAS=bias is not None,
    )
    nothing = np.zeros(1, np.float32)
    columns = x.shape[1]

    def run(rows: Binding, result: Binding, count: int) -> None:
        operands = (
            rows,
            device.write("weight", nothing if weight is None else weight),
            device.write("bias", nothing if bias is None else bias),
            result,
        )
        device.run(source, (columns, 1 / columns, float(eps)), operands, count)

    return _in_parts(device, "layer_norm", x, run, limits)


def _in_parts(
    device: Device,
    operation: str,
    x: Array,
    run: Callable[[Binding, Binding, int], None],
    limits: Limits,
) -> Array:
    """Compute as many rows at a time as fit into a buffer."""
    out = np.empty(x.shape, np.float32)
    if out.size == 0:
        return out
    bytes_of_row = 4 * x.shape[1]
    longest = min(device.most_bytes // 4, device.most_iterations // _PASSES * _THREADS)
    if x.shape[1] > longest:
        raise CapabilityError(
            f"{operation}: the backend 'gpu' accepts rows of at most {longest} elements on this "
            f"device, got {x.shape[1]}; 'wasm-simd' accepts longer rows"
        )
    for some in slices(len(x), device.most_bytes // bytes_of_row):
        limits.check()
        rows = device.write("x", x[some])
        result = device.room("result", out[some].nbytes)
        run(rows, result, some.stop - some.start)
        out[some] = device.read(result, out[some].shape, np.float32)
    return out
