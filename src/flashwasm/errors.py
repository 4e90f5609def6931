"""The errors that flashwasm raises: one base, and the classes that derive from it."""

from __future__ import annotations


class FlashWasmError(Exception):
    """Base class of every error that flashwasm raises on purpose."""


class ShapeError(FlashWasmError, ValueError):
    """An argument has a shape or a value that the operation does not accept."""


class IndexRangeError(ShapeError, IndexError):
    """An index lies outside the array that it points into."""


class DTypeError(FlashWasmError, TypeError):
    """An argument has a type or dtype that the operation does not accept."""


class OutOfMemoryError(FlashWasmError, MemoryError):
    """Linear memory is too small for the operation, or the process has no memory for its result.

    Attributes
    ----------
    requested, in_use, allowed : int
        Bytes requested, bytes in use at that time, including the stacks and workspaces of the
        threads, and the runtime's limit (``max_memory``). The last two are 0 if the memory lies
        outside the runtime, since flashwasm does not know them then.
    """

    def __init__(
        self, requested: int, in_use: int = 0, allowed: int = 0, message: str | None = None
    ) -> None:
        super().__init__(
            message
            or f"linear memory is full: {requested} bytes requested, {in_use} in use (with those "
            f"of the threads), {allowed} allowed (max_memory)"
        )
        self.requested = requested
        self.in_use = in_use
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[OutOfMemoryError], tuple[int, int, int, str]]:
        """Return the arguments from which pickle creates the error again.

        By default, pickle calls the class with the message as its only argument. In the parent
        process of a pool that call would fail, and the pool would wait for ever.
        """
        return type(self), (self.requested, self.in_use, self.allowed, str(self))


class DeadlineExceeded(FlashWasmError, TimeoutError):  # noqa: N818 - the public name stays.
    """A call did not finish within its timeout."""


class Cancelled(FlashWasmError):  # noqa: N818 - the public name stays.
    """`Runtime.cancel` ended a call. The runtime stays usable."""


class KernelTrap(FlashWasmError):  # noqa: N818 - "trap" is WebAssembly's own word for this error.
    """The sandbox stopped a kernel. The runtime stays usable."""


class DeviceError(FlashWasmError):
    """A GPU failed or was lost during a call. The next call opens it again."""


class ClosedError(FlashWasmError):
    """The runtime was closed, or it belongs to the parent process of a fork."""


class CorruptFileError(FlashWasmError):
    """A file is truncated or changed, has another format, or was written by a later version."""


# The older name of the class, from when only indexes were saved to files. Both names are public.
CorruptIndexError = CorruptFileError


class CapabilityError(FlashWasmError):
    """An optional package, model or device is missing; the message says how to get it."""
