"""Shared memory: one linear memory that all instances of a runtime import and NumPy can see."""

from __future__ import annotations

import ctypes
import importlib
import sys
from typing import Any

import wasmtime
from wasmtime import _ffi

from flashwasm.errors import CapabilityError
from flashwasm.host.engine import engine

PAGE_BYTES = 1 << 16
MAX_PAGES = 1 << 16
# Linux's numbers on all architectures that wasmtime runs on: use pages of 2 MiB, and take back
# memory, which is zero when it is used again. Importing the module mmap for them would take 2 ms.
_MADV_HUGEPAGE = 14
_MADV_DONTNEED = 4
_TOO_FEW_ADDRESSES = (
    "a runtime needs 4 GiB of addresses, which this process was refused: raise its limit "
    "(ulimit -v) or close other runtimes ({})"
)
# What the engine reserves for a memory: 4 GiB, and 32 MiB on either side.
_RESERVED_BYTES = MAX_PAGES * PAGE_BYTES + (64 << 20)
# Room for the machine code, the workers' threads and the engine's own data.
_ROOM_BYTES = 96 << 20


def check_addresses() -> None:
    """Raise an error if the limit of this process leaves too few addresses for another runtime.

    This comes before anything is loaded. The engine ends the process if it gets no memory in the
    middle of its work, for example while it loads a module.

    Raises
    ------
    CapabilityError
        If there is such a limit, and if it leaves too few addresses.
    """
    if sys.platform != "linux":  # Other systems have no such limit, or do not enforce it.
        return
    # Most processes need neither of these two modules.
    resource = importlib.import_module("resource")
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    mmap = importlib.import_module("mmap")
    try:
        mmap.mmap(-1, _RESERVED_BYTES + _ROOM_BYTES, flags=mmap.MAP_PRIVATE, prot=0).close()
    except OSError as error:
        raise CapabilityError(_TOO_FEW_ADDRESSES.format(error.strerror)) from error


class _LinkableMemory(wasmtime.SharedMemory):
    """A shared memory that modules can import.

    wasmtime 50 hands the linker a pointer to the memory's pointer instead of the pointer itself.
    """

    def _as_extern(self) -> _ffi.wasmtime_extern_t:
        """Return the memory in the form that the linker takes."""
        union = _ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return _ffi.wasmtime_extern_t(_ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


def _advise(address: int, size: int, advice: int) -> None:
    """Tell Linux about the use of some memory. A failure does not matter: nothing changes then."""
    if sys.platform == "linux":
        madvise = ctypes.CDLL(None).madvise
        madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)


class SharedMemory:
    """A shared linear memory, and a buffer over all addresses that it may ever grow to.

    The memory never moves, because the engine reserves the whole range of a 32-bit memory at once.
    The buffer keeps the memory alive, so arrays over it stay valid after the runtime is closed.

    Parameters
    ----------
    pages, max_pages : int
        Pages of 64 KiB that exist at first, and that may exist at most. The engine holds the memory
        to the second number, which is part of the memory's type.

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
        # A search that reads vectors from all over memory has fewer TLB misses with large pages.
        _advise(address, most * PAGE_BYTES, _MADV_HUGEPAGE)
        content: Any = (ctypes.c_ubyte * (most * PAGE_BYTES)).from_address(address)
        content.owner = self.memory
        self.content = content
        self.address = address

    def grow_to(self, pages: int) -> bool:
        """Grow to at least ``pages`` pages; return False if the memory may not grow that far."""
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
        """Give memory that nobody uses back to the system. Its contents are undefined afterwards.

        Parameters
        ----------
        offset, size : int
            Where it begins, and its length in bytes. Only whole pages within it are given back.
        """
        first = -(-offset // PAGE_BYTES) * PAGE_BYTES
        end = (offset + size) // PAGE_BYTES * PAGE_BYTES
        if end > first:
            _advise(self.address + first, end - first, _MADV_DONTNEED)
