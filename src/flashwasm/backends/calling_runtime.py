"""The part of a call's runtime that other backends use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flashwasm.backends.registry import BackendName

__all__ = ["CallingRuntime"]


class CallingRuntime(Protocol):
    """A `Runtime`, whose class this layer cannot import.

    Attributes
    ----------
    backend, deterministic, threads, variant
        As in `Runtime`.
    arena
        The arrays in the runtime's linear memory. Its attribute ``content`` is the whole memory.
    backend_calls : dict of str to int
        Number of calls that each other backend has computed, by its name.
    """

    deterministic: bool
    threads: int
    variant: Any
    arena: Any
    backend_calls: dict[str, int]

    @property
    def backend(self) -> BackendName:
        """Name of the default backend of calls."""

    def holds(self, x: Any) -> bool:
        """Return True if an array lies in the runtime's linear memory."""

    def check_open(self) -> None:
        """Raise ClosedError if the runtime is closed."""
