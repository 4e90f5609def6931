"""The adapter of a GPU, and the errors that explain a missing adapter."""

from __future__ import annotations

import ctypes.util
import logging
import os
import threading
import warnings
from pathlib import Path
from typing import Any

from flashwasm.errors import CapabilityError
from flashwasm.optional_packages import optional_module

__all__ = ["check_not_forked", "find_adapter"]

# Name of the capability with which NVIDIA's container runtime makes Vulkan available.
_GRAPHICS = "graphics"
# Folder of the driver's devices.
_DEVICES = Path("/dev")


class _Touched:
    """The process that first loaded the driver, and the lock for finding adapters.

    A driver has its own threads and locks, which may be in any state in a forked child.
    """

    process: int | None = None
    warned = False
    lock = threading.Lock()


def check_not_forked() -> None:
    """Raise CapabilityError in a process that was forked from one that had used the GPU."""
    if _Touched.process not in {None, os.getpid()}:
        raise CapabilityError(
            "the backend 'gpu' was used before this process was forked, and its driver does not "
            "survive a fork: start processes with the method 'spawn' or 'forkserver', or use the "
            "GPU in the children only"
        )


def find_adapter() -> Any:
    """Return the adapter of the fastest GPU.

    Warn once per process if the adapter computes on the CPU.

    Raises
    ------
    CapabilityError
        If the package ``wgpu`` is not installed, if no driver offers an adapter, or if this process
        was forked from one that had used the GPU.
    """
    check_not_forked()
    wgpu: Any = optional_module("wgpu", extra="gpu")
    with _Touched.lock:
        _Touched.process = os.getpid()
        # wgpu logs a warning each time that it uses the variable WGPU_BACKEND_TYPE.
        log = logging.getLogger("wgpu")
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            adapter = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
        except (RuntimeError, ValueError, OSError, wgpu.GPUError) as error:
            raise CapabilityError(_missing_adapter(str(error))) from error
        finally:
            log.setLevel(level)
        if adapter.info["adapter_type"] == "CPU" and not _Touched.warned:
            _Touched.warned = True
            warnings.warn(
                f"the backend 'gpu' runs on the CPU: its only adapter is {adapter.info['device']}, "
                "which is made for tests; 'native' and 'wasm-simd' are faster there",
                RuntimeWarning,
                stacklevel=2,
            )
    return adapter


def _missing_adapter(reason: str) -> str:
    """Return the error message for a machine without an adapter."""
    if _has_cuda() and not _may_draw():
        return (
            "the backend 'gpu' finds no adapter, though there is an NVIDIA GPU: this container has "
            "CUDA but not the driver's capability 'graphics', which Vulkan needs; start it with "
            "NVIDIA_DRIVER_CAPABILITIES=all, or with 'compute,utility,graphics'"
        )
    last = reason.strip().splitlines()[-1].strip() if reason.strip() else "no reason was given"
    return (
        "the backend 'gpu' finds no adapter: install the GPU's driver for Vulkan (Debian's "
        f"mesa-vulkan-drivers with libvulkan1 for tests without a GPU). The driver said: {last}"
    )


def _has_cuda() -> bool:
    """Return True if this machine or container shows signs of an NVIDIA GPU."""
    devices = any(_DEVICES.glob("nvidia[0-9]*"))
    return devices or ctypes.util.find_library("cuda") is not None


def _may_draw() -> bool:
    """Return False if a container was started without the driver's graphics capability."""
    given = os.environ.get("NVIDIA_DRIVER_CAPABILITIES")
    if given is None:
        # Outside a container, the variable is not set. Inside, a missing variable means
        # "compute,utility".
        return not Path("/.dockerenv").exists()
    return bool({_GRAPHICS, "all"} & {name.strip() for name in given.split(",")})
