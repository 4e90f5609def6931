"""The runtime of a call, as far as other backends are concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flashwasm.backends.registry import BackendName

__all__ = ["CallingRuntime"]


class CallingRuntime(Protocol):
    """A `Runtime`, which lies in a higher layer.

    Attributes
    ----------
    backend, deterministic, threads, variant
        As `Runtime` takes them.
    backend_calls : dict of str to int
        Calls that other backends have computed, by the backend's name.
    """

    deterministic: bool
    threads: int
    variant: Any
    backend_calls: dict[str, int]

    @property
    def backend(self) -> BackendName:
        """Name of the backend of calls that name none."""

    def holds(self, x: Any) -> bool:
        """Return True if an array lies in the runtime's linear memory."""

    def check_open(self) -> None:
        """Raise ClosedError if the runtime is closed."""
