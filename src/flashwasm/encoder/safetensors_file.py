"""A model's weights, read from a safetensors file as float32 arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CapabilityError
from flashwasm.optional_packages import optional_module

__all__ = ["read_weights"]

# NumPy's dtype for each floating-point dtype of the format. NumPy has no bfloat16, so its bits are
# read as an integer.
_NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return the floating-point tensors of a safetensors file, by name.

    Tensors of float16 and bfloat16 are converted exactly, and tensors of float64 are rounded to
    float32. Tensors of integers, such as position ids, are left out.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file to read.

    Returns
    -------
    dict of str to numpy.ndarray
        A float32 array for each name.

    Raises
    ------
    CapabilityError
        If safetensors is not installed, or if the file is not in its format.
    """
    safetensors = optional_module("safetensors")
    try:
        entries: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(path.read_bytes())
        return {
            name: _float32(entry["data"], entry["dtype"]).reshape(entry["shape"])
            for name, entry in entries
            if entry["dtype"] in _NUMPY_DTYPES
        }
    # NumPy raises OverflowError for an empty tensor if one of its axes exceeds 64 bits.
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise CapabilityError(f"{path} is not a safetensors file: {error}") from error


def _float32(data: bytes, dtype: str) -> npt.NDArray[np.float32]:
    """Return the numbers of a tensor's bytes as one axis of float32."""
    values = np.frombuffer(data, _NUMPY_DTYPES[dtype])
    if dtype == "BF16":
        # A bfloat16 is the upper half of a float32.
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)
