"""Tensors out of a safetensors file, as float32."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.errors import CapabilityError

__all__ = ["optional_module", "read_weights"]


def optional_module(name: str) -> ModuleType:
    """Import a module that only the encoder needs.

    Raises
    ------
    CapabilityError
        If it is not installed, saying what to install.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise CapabilityError(
            f"the sentence encoder needs {name}, which cannot be imported ({error}); "
            "get it with: pip install 'flashwasm[qe]'"
        ) from error


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Floating-point tensors of a safetensors file, by name.

    Parameters
    ----------
    path : pathlib.Path
        The file. Tensors of float16 and bfloat16 are converted, which is exact; tensors of float64
        are narrowed; tensors of integers, such as position ids, are left out.

    Returns
    -------
    dict of str to numpy.ndarray
        float32 arrays.

    Raises
    ------
    CapabilityError
        If safetensors is not installed, or if the file is not of its format.
    """
    safetensors = optional_module("safetensors")
    try:
        entries: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise CapabilityError(f"{path} is not a safetensors file: {error}") from error
    return {
        name: _float32(entry["data"], entry["dtype"]).reshape(entry["shape"])
        for name, entry in entries
        if entry["dtype"] in _NUMPY_DTYPES
    }


# NumPy has no bfloat16, so its bits are read as integers.
_NUMPY_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _float32(data: bytes, dtype: str) -> npt.NDArray[np.float32]:
    values = np.frombuffer(data, _NUMPY_DTYPES[dtype])
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)
