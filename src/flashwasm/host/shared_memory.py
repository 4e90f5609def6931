"""Shared linear memory, which all instances of a runtime import and NumPy can access."""

from __future__ import annotations

import ctypes
import importlib
import sys
from typing import Any

import wasmtime
from wasmtime import _ffi

from flashwasm.errors import CapabilityError, OutOfMemoryError
from flashwasm.host.engine import engine
from flashwasm.summaries import number_of
from flashwasm.validation import positive_int

PAGE_BYTES = 1 << 16
MAX_PAGES = 1 << 16
# Linux's constants on all architectures of wasmtime: use pages of 2 MiB, and release memory, which
# is zero when used again. Importing them from the module mmap would take 2 ms.
_MADV_HUGEPAGE = 14
_MADV_DONTNEED = 4
_TOO_FEW_ADDRESSES = (
    "a runtime needs 4 GiB of address space, which the system refused: raise the limit "
    "(ulimit -v) or close other runtimes ({})"
)
# Addresses that the engine reserves for a memory: 4 GiB, and 32 MiB on either side.
_RESERVED_BYTES = MAX_PAGES * PAGE_BYTES + (64 << 20)
# Room for the machine code, the workers' threads and the engine's own data.
_ROOM_BYTES = 96 << 20


def check_addresses() -> None:
    """Raise an error if the process's limit leaves too few addresses for another runtime.

    Call this before loading anything. The engine aborts the process if it runs out of memory during
    its work, for example while it loads a module.

    Raises
    ------
    CapabilityError
        If such a limit exists and leaves too few addresses.
    """
    if sys.platform != "linux":  # Other systems have no such limit, or do not enforce it.
        return
    # Import these two modules only here, because most processes need neither.
    resource = importlib.import_module("resource")
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    mmap = importlib.import_module("mmap")
    try:
        mmap.mmap(-1, _RESERVED_BYTES + _ROOM_BYTES, flags=mmap.MAP_PRIVATE, prot=0).close()
    except OSError as error:
        raise CapabilityError(_TOO_FEW_ADDRESSES.format(error.strerror)) from error


def most_pages(max_memory: int | None, threads: int, begin: int, each: int) -> int:
    """Return the maximum number of pages of a runtime's memory.

    Parameters
    ----------
    max_memory : int or None
        The argument of `Runtime`: a number of bytes, or None for as many as possible.
    threads : int
        Number of the runtime's threads.
    begin, each : int
        Bytes that the runtime itself needs, and bytes that each of its threads needs.

    Raises
    ------
    OutOfMemoryError
        If these bytes exceed the maximum.
    """
    most = MAX_PAGES * PAGE_BYTES
    allowed = most if max_memory is None else min(positive_int(max_memory, "max_memory"), most)
    pages, needed = allowed // PAGE_BYTES, begin + threads * each
    if needed > pages * PAGE_BYTES:
        least, workers = -(-needed // PAGE_BYTES) * PAGE_BYTES, number_of(threads, "threads")
        message = f"max_memory: expected at least {least} bytes for {workers}, got {max_memory}"
        raise OutOfMemoryError(needed, 0, allowed, message)
    return pages


class _LinkableMemory(wasmtime.SharedMemory):
    """A shared memory that modules can import.

    wasmtime 50 passes the linker a pointer to the memory's pointer instead of the pointer itself.
    """

    def _as_extern(self) -> _ffi.wasmtime_extern_t:
        """Return the memory in the form that the linker expects."""
        union = _ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return _ffi.wasmtime_extern_t(_ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


def _advise(address: int, size: int, advice: int) -> None:
    """Advise Linux on the use of some memory. A failure has no effect."""
    if sys.platform == "linux":
        madvise = ctypes.CDLL(None).madvise
        madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)


class SharedMemory:
    """A shared linear memory, and a buffer over all addresses up to its maximum size.

    The memory never moves, because the engine reserves the whole range of a 32-bit memory at once.
    The buffer keeps the memory alive, so arrays over it stay valid after the runtime is closed.

    Parameters
    ----------
    pages, max_pages : int
        Initial and maximum number of pages of 64 KiB. The engine enforces the maximum, which is
        part of the memory's type.

    Attributes
    ----------
    memory : wasmtime.SharedMemory
        The memory that instances import.
    address : int
        Its address in this process.
    content : object
        The buffer, for NumPy.
    """

    def __init__(self, pages: int, max_pages: int) -> None:
        most = max(pages, max_pages)
        limits = wasmtime.MemoryType(wasmtime.Limits(pages, most), shared=True)
        try:
            self.memory = _LinkableMemory(engine(), limits)
        except wasmtime.WasmtimeError as error:
            message = _TOO_FEW_ADDRESSES.format(str(error).splitlines()[0])
            raise CapabilityError(message) from error
        self.max_pages = max_pages
        self.pages = pages
        address = ctypes.addressof(self.memory.data_ptr().contents)
        # Large pages reduce TLB misses in searches, which read vectors from all over memory.
        _advise(address, most * PAGE_BYTES, _MADV_HUGEPAGE)
        content: Any = (ctypes.c_ubyte * (most * PAGE_BYTES)).from_address(address)
        content.owner = self.memory
        self.content = content
        self.address = address

    def grow_to(self, pages: int) -> bool:
        """Grow to at least ``pages`` pages; return False if the memory cannot grow that far."""
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

    def discard(self, offset: int, size: int) -> None:
        """Return unused memory to the operating system. Its contents are undefined afterwards.

        Parameters
        ----------
        offset, size : int
            Start and length of the memory in bytes. Only whole pages within it are returned.
        """
        first = -(-offset // PAGE_BYTES) * PAGE_BYTES
        end = (offset + size) // PAGE_BYTES * PAGE_BYTES
        if end > first:
            _advise(self.address + first, end - first, _MADV_DONTNEED)
