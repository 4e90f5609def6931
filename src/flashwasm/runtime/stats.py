"""Statistics of a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flashwasm.html_tables import html_table


@dataclass(frozen=True)
class Stats:
    """Statistics of a runtime: its memory, and the work that it has done.

    Attributes
    ----------
    bytes_reserved : int
        Present size of linear memory in bytes.
    bytes_in_use, bytes_peak : int
        Bytes of arrays and operands in linear memory, now and at the maximum so far, without the
        threads' stacks and workspaces.
    bytes_workspace : int
        Bytes of the stacks and workspaces of all threads.
    calls : int
        Number of kernel calls.
    kernel_seconds, copy_seconds : float
        Wall-clock seconds spent in kernels, and in copying between NumPy's memory and linear
        memory.
    backend_calls : mapping of str to int
        Number of calls that each other backend has computed in place of the sandbox, by its name.
    """

    bytes_reserved: int
    bytes_in_use: int
    bytes_peak: int
    bytes_workspace: int
    calls: int
    kernel_seconds: float
    copy_seconds: float
    backend_calls: Mapping[str, int] = field(default_factory=dict)

    _repr_html_ = html_table
