"""The errors that flashwasm raises: one base, and the classes that derive from it."""

from __future__ import annotations


class FlashWasmError(Exception):
    """Base class of every error that flashwasm raises on purpose."""


class ShapeError(FlashWasmError, ValueError):
    """An argument has a shape or a value that the operation cannot take."""


class IndexRangeError(ShapeError, IndexError):
    """An index lies outside the array that it points into."""


class DTypeError(FlashWasmError, TypeError):
    """An argument has a type or dtype that the operation cannot take."""


class OutOfMemoryError(FlashWasmError, MemoryError):
    """Linear memory is too small for the operation, or the process's own memory for its result.

    Attributes
    ----------
    requested, in_use, allowed : int
        Bytes asked for, bytes in use at that time, and the most that the runtime may have. The last
        two are 0 for memory outside the runtime, of which only the operating system knows them.
    """

    def __init__(
        self, requested: int, in_use: int = 0, allowed: int = 0, message: str | None = None
    ) -> None:
        super().__init__(
            message
            or f"linear memory is full: {requested} bytes asked for, {in_use} in use, "
            f"{allowed} allowed (max_memory)"
        )
        self.requested = requested
        self.in_use = in_use
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[OutOfMemoryError], tuple[int, int, int, str]]:
        """Tell pickle to make the error again from its numbers and its message.

        By default, pickle would call the class with the message as its only argument. That fails in
        the parent process of a pool, which would then wait for ever.
        """
        return type(self), (self.requested, self.in_use, self.allowed, str(self))


class DeadlineExceeded(FlashWasmError, TimeoutError):  # noqa: N818 - the public name stays.
    """A call did not finish within its timeout."""


class Cancelled(FlashWasmError):  # noqa: N818 - the public name stays.
    """A call was ended by `Runtime.cancel`. The runtime is usable."""


class KernelTrap(FlashWasmError):  # noqa: N818 - "trap" is WebAssembly's own word for this error.
    """A kernel was stopped by the sandbox. The runtime stays usable."""


class DeviceError(FlashWasmError):
    """A GPU failed or was lost while it computed a call. The next call opens it again."""


class ClosedError(FlashWasmError):
    """The runtime was closed, or belongs to the process that this one was forked from."""


class CorruptFileError(FlashWasmError):
    """A file is truncated, changed, foreign, or of a later version."""


# The class had this name when only indexes had files. Both names are public.
CorruptIndexError = CorruptFileError


class CapabilityError(FlashWasmError):
    """Something optional is missing; the message says how to get it."""
