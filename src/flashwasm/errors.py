"""What flashwasm raises: one base error, and what derives from it."""

from __future__ import annotations


class FlashWasmError(Exception):
    """Base of every error that flashwasm raises on purpose."""


class ShapeError(FlashWasmError, ValueError):
    """An argument has a shape or a value that the operation cannot take."""


class IndexRangeError(ShapeError, IndexError):
    """An index lies outside what it indexes."""


class DTypeError(FlashWasmError, TypeError):
    """An argument has a type or dtype that the operation cannot take."""


class OutOfMemoryError(FlashWasmError, MemoryError):
    """Linear memory is too small for the operation.

    Attributes
    ----------
    requested, in_use, allowed : int
        Bytes asked for, in use when asked, and the most that the runtime may have.
    """

    def __init__(self, requested: int, in_use: int, allowed: int) -> None:
        super().__init__(
            f"linear memory is full: {requested} bytes asked for, {in_use} in use, "
            f"{allowed} allowed (max_memory)"
        )
        self.requested = requested
        self.in_use = in_use
        self.allowed = allowed

    def __reduce__(self) -> tuple[type[OutOfMemoryError], tuple[int, int, int]]:
        """Be made again from the three numbers: an error that a pool cannot send hangs it."""
        return type(self), (self.requested, self.in_use, self.allowed)


class DeadlineExceeded(FlashWasmError, TimeoutError):  # noqa: N818 - the name is part of the contract.
    """A call did not finish within its timeout."""


class KernelTrap(FlashWasmError):  # noqa: N818 - "trap" is WebAssembly's own word for this error.
    """A kernel was stopped by the sandbox. The runtime stays usable."""


class ClosedError(FlashWasmError):
    """The runtime was closed, or belongs to the process that this one was forked from."""


class CorruptFileError(FlashWasmError):
    """A file is truncated, changed, foreign, or of a later version."""


# The name from when only indexes had files; both names are public.
CorruptIndexError = CorruptFileError


class CapabilityError(FlashWasmError):
    """Something optional is missing; the message says how to get it."""
