"""One linear memory that every instance of a runtime imports and that NumPy sees."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import wasmtime
from wasmtime import _ffi

from flashwasm.errors import CapabilityError
from flashwasm.host.engine import engine

PAGE_BYTES = 1 << 16
MAX_PAGES = 1 << 16
# Linux's number for it on every architecture that wasmtime runs on; importing mmap takes 2 ms.
_MADV_HUGEPAGE = 14


class _LinkableMemory(wasmtime.SharedMemory):
    """wasmtime 50's class hands its linker a pointer to the pointer that is meant."""

    def _as_extern(self) -> _ffi.wasmtime_extern_t:
        union = _ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return _ffi.wasmtime_extern_t(_ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


def _ask_for_huge_pages(address: int) -> None:
    """Let Linux use pages of 2 MiB: a search that jumps about then waits for fewer look-ups."""
    if sys.platform == "linux":
        # What it returns does not matter: where there are no such pages, others do.
        madvise = ctypes.CDLL(None).madvise
        size = ctypes.c_size_t(MAX_PAGES * PAGE_BYTES)
        madvise(ctypes.c_void_p(address), size, _MADV_HUGEPAGE)


class SharedMemory:
    """A shared linear memory, and as a buffer all that it may ever become.

    Its address never changes: the engine reserves the whole range of a 32-bit memory at once. The
    buffer keeps the memory alive, so an array made from it outlives whatever else is closed.

    Parameters
    ----------
    pages, max_pages : int
        Pages of 64 KiB to begin with, and at most.
    """

    def __init__(self, pages: int, max_pages: int) -> None:
        limits = wasmtime.MemoryType(wasmtime.Limits(pages, MAX_PAGES), shared=True)
        try:
            self.memory = _LinkableMemory(engine(), limits)
        except wasmtime.WasmtimeError as error:
            message = (
                "a runtime needs 4 GiB of addresses, which this process was refused: raise its "
                f"limit (ulimit -v) or close other runtimes ({str(error).splitlines()[0]})"
            )
            raise CapabilityError(message) from error
        self.max_pages = max_pages
        self.pages = pages
        address = ctypes.addressof(self.memory.data_ptr().contents)
        _ask_for_huge_pages(address)
        content: Any = (ctypes.c_ubyte * (MAX_PAGES * PAGE_BYTES)).from_address(address)
        content.owner = self.memory
        self.content = content
        self.address = address

    def grow_to(self, pages: int) -> bool:
        """Grow to at least so many pages; return False where that is refused."""
        if pages <= self.pages:
            return True
        if pages > self.max_pages:
            return False
        try:
            self.memory.grow(pages - self.pages)
        except wasmtime.WasmtimeError:
            return False
        self.pages = pages
        return True
