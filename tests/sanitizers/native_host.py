"""A pytest plugin that runs the kernels natively, under sanitizers, instead of in WebAssembly.

    LD_PRELOAD=<asan_runtime> FLASHWASM_NATIVE=<folder of native_build.py> pytest -p native_host

native_suite.py sets these variables. With FLASHWASM_NATIVE_EVERY=10 only each tenth test runs.

The plugin replaces only two classes of a runtime. Instances call the functions of the libraries,
with the operands' addresses in this process. The arena tells AddressSanitizer which bytes of linear
memory are in use, and leaves a gap behind each block. AddressSanitizer therefore stops a kernel
that accesses memory outside its operands. The sandbox would only stop an access outside linear
memory. UndefinedBehaviorSanitizer stops undefined behaviour.
"""

import ctypes
import os
import struct
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import flashwasm.runtime.arena
import flashwasm.runtime.runtime
from flashwasm.host.instance import INSTANCE_BYTES
from flashwasm.host.modules import VARIANTS
from flashwasm.host.shared_memory import PAGE_BYTES
from flashwasm.kernel_table import (
    KERNELS,
    LORA_APPLY,
    LORA_FISHER,
    LORA_UPDATE,
    WORKSPACE_BYTES,
)
from flashwasm.runtime.arena import ALIGNMENT, Arena, room

FOLDER = Path(os.environ["FLASHWASM_NATIVE"])
# The C library's and the sanitizer's functions, as this process has them.
PROCESS = ctypes.CDLL(None)
POISON, UNPOISON = (
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(
        (f"__asan_{name}_memory_region", PROCESS)
    )
    for name in ("poison", "unpoison")
)
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)(
    ("aligned_alloc", PROCESS)
)
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("free", PROCESS))
# By the letters of a kernel's signature: the type of an argument, and the struct module's code.
TYPES = {"p": ctypes.c_void_p, "u": ctypes.c_uint32, "i": ctypes.c_int32, "f": ctypes.c_float}
CODES = {"p": "P", "u": "I", "i": "i", "f": "f"}
# `struct lora` of wasm/abi.h in linear memory, and the letters of its fields.
LORA_IN_MEMORY, LORA_FIELDS = struct.Struct("<6I3i3f"), "p" * 6 + "i" * 3 + "f" * 3
TAKE_A_LORA = (LORA_APPLY, LORA_UPDATE, LORA_FISHER)
BUILT = {path.stem for path in FOLDER.glob("*.so")}
UNBUILT = set(VARIANTS) - BUILT
# Tests that do not hold here, and the reason.
DIFFERENT = {
    "tests/attention/test_kv_cache.py::test_memory_is_counted_and_goes_back": "counts the gaps",
    "tests/search/test_flat_index.py::test_memory_goes_back_and_grows_in_proportion": (
        "counts the gaps"
    ),
}
# Calls that were made, by variant and kernel.
CALLS = Counter()


@cache
def library(variant):
    """Return the library of a variant."""
    return ctypes.CDLL(str(FOLDER / f"{variant}.so"))


def native_struct(letters):
    """Return the struct that a C compiler of this machine makes of fields with these letters."""
    return struct.Struct("@" + "".join(CODES[letter] for letter in letters))


class NativeInstance:
    """An instance whose kernels are functions of a library.

    Its workspace is a block of its own from the C library, so that the sanitizer knows the ends.
    """

    def __init__(self, variant, memory, base, *, fast=True):
        del fast
        POISON(memory.address + base, INSTANCE_BYTES)
        self._memory = memory
        self._workspace = Workspace()
        self.calls = {kernel: self._counted(kernel, variant) for kernel in KERNELS}

    def call(self, kernel, arguments):
        return self.calls[kernel](arguments)

    def _counted(self, kernel, variant):
        """Return a function that calls a kernel and counts the call."""
        function, row = self._prepared(kernel, library(variant)), f"{variant} {kernel.export}"

        def call(arguments):
            CALLS[row] += 1
            return function(arguments)

        return call

    def _prepared(self, kernel, of):
        """Return a function that calls a kernel with the addresses of this process."""
        start = self._memory.address
        prefix = [self._workspace.address] if kernel.workspace else []
        function = getattr(of, kernel.export)
        function.argtypes = [TYPES[letter] for letter in "p" * len(prefix) + kernel.signature]
        letters = kernel.signature

        def moved(letters, arguments):
            """Return the arguments, with addresses of linear memory turned into real ones."""
            return [
                int(value) + start if letter == "p" and value else value
                for letter, value in zip(letters, arguments, strict=True)
            ]

        if kernel.in_memory:
            fields = native_struct("p" * len(prefix) + letters)
            content = ctypes.create_string_buffer(fields.size)
            function.argtypes = [ctypes.c_void_p]

            def call_with_structure(arguments):
                fields.pack_into(content, 0, *prefix, *moved(letters, arguments))
                return function(ctypes.addressof(content))

            return call_with_structure
        if kernel in TAKE_A_LORA:
            fields = native_struct(LORA_FIELDS)
            content = ctypes.create_string_buffer(fields.size)

            def call_with_lora(arguments):
                lora, *others = arguments
                values = LORA_IN_MEMORY.unpack_from(self._memory.content, lora)
                fields.pack_into(content, 0, *moved(LORA_FIELDS, values))
                return function(*prefix, ctypes.addressof(content), *moved(letters[1:], others))

            return call_with_lora
        return lambda arguments: function(*prefix, *moved(letters, arguments))


class Workspace:
    """The memory of a workspace, and nothing beside it."""

    def __init__(self):
        self.address = ALLOCATE(ALIGNMENT, WORKSPACE_BYTES)

    def __del__(self):
        FREE(self.address)


class GuardedArena(Arena):
    """An arena that poisons all memory but its blocks, and leaves a gap behind each block."""

    def __init__(self, memory, begin):
        super().__init__(memory, begin)
        self._poisoned = 0
        self._poison_new_pages()

    def _poison_new_pages(self):
        end = self._memory.pages * PAGE_BYTES
        if end > self._poisoned:
            POISON(self.address + self._poisoned, end - self._poisoned)
            self._poisoned = end

    def _take(self, size, owner):
        offset = super()._take(size, owner)
        UNPOISON(self.address + offset, size)
        return offset

    def _take_back(self, owner):
        for offset, size in owner:
            POISON(self.address + offset, size)
        super()._take_back(owner)

    def _take_back_dead(self):
        for block in list(self._dead):
            if getattr(block, "owned", False):
                POISON(self.address + block.offset, block.size)
        super()._take_back_dead()

    def _extend(self, size):
        place = super()._extend(size)
        self._poison_new_pages()
        return place


def room_and_gap(size):
    """Return the bytes that a block takes, with the gap behind it."""
    return room(size) + ALIGNMENT


flashwasm.runtime.runtime.Instance = NativeInstance
flashwasm.runtime.runtime.Arena = GuardedArena
flashwasm.runtime.arena.room = room_and_gap


def pytest_collection_modifyitems(items):
    """Leave out tests of what is different here, and all but each n-th of the others."""

    def runs_here(item):
        parameters = getattr(item, "callspec", None)
        values = parameters.params.values() if parameters else ()
        return item.nodeid not in DIFFERENT and not any(
            value in UNBUILT for value in values if isinstance(value, str)
        )

    items[:] = [item for item in items if runs_here(item)][
        :: int(os.environ.get("FLASHWASM_NATIVE_EVERY", "1"))
    ]


def pytest_sessionfinish(session):
    """Hand the counts of a worker of pytest-xdist to the process that started it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["native_calls"] = dict(CALLS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    CALLS.update(getattr(node, "workeroutput", {}).get("native_calls", {}))


def pytest_terminal_summary(terminalreporter):
    """Print how many calls ran natively, and the kernels that no test called."""
    rows = {f"{variant} {kernel.export}" for variant in BUILT for kernel in KERNELS}
    never = ", ".join(sorted(rows - CALLS.keys())) or "none"
    terminalreporter.write_line(f"native calls: {CALLS.total()}; kernels never called: {never}")
