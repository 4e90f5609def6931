"""What a runtime holds and has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stats:
    """What a runtime holds and has done.

    Attributes
    ----------
    bytes_reserved : int
        Bytes of linear memory that exist.
    bytes_in_use, bytes_peak : int
        Bytes of arrays and operands in it, now and at most so far, without the workers' workspaces.
    bytes_workspace : int
        Bytes of stacks and workspaces, the same number for each worker.
    calls : int
        Calls of kernels.
    kernel_seconds, copy_seconds : float
        Wall-clock time in kernels, and copying between NumPy's memory and linear memory.
    """

    bytes_reserved: int
    bytes_in_use: int
    bytes_peak: int
    bytes_workspace: int
    calls: int
    kernel_seconds: float
    copy_seconds: float
