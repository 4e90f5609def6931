"""The sandbox: a module can access one memory and nothing else, and no address beyond it."""

import ctypes
import json
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
import wasmtime

import flashwasm as fw
from call_paths import runtime_calling
from checkout import SOURCE
from flashwasm.host import engine, instance
from flashwasm.host.shared_memory import MAX_PAGES, PAGE_BYTES
from flashwasm.kernel_table import (
    ATTENTION,
    ATTENTION_BACKWARD,
    GELU,
    KERNELS,
    MATMUL_I8,
    MEAN_POOL_PIECE,
    NORM_PIECE,
    SOFTMAX_PIECE,
    VECADD,
)
from pulley_host import IMPORTS, START, number, sections
from sample_arrays import assert_same_bits, normal

MODULES = SOURCE / "_wasm"
VARIANTS = ["relaxed", "simd128", "scalar"]
WAYS = [pytest.param(True, id="unchecked"), pytest.param(False, id="public")]
# Fixed addresses that no memory of these tests reaches, of floats and of structures.
WILD = [0xFFFFFFF0, 0xFFFFFFFC, 0x80000000, (1 << 31) - 64]
MOST = 16 << 20
# From the manual pages of Linux. Python's module mmap cannot choose an address.
MAP_FIXED_NOREPLACE = 0x100000
CANARY = b"\xa5" * mmap.PAGESIZE


def name(module, at):
    """Return the name at an offset of a module, and the offset past it."""
    length, at = number(module, at)
    return module[at : at + length].decode(), at + length


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_module_imports_one_shared_memory_and_nothing_else(variant):
    """The bytes of the import section say so, read without the engine, and then the engine too."""
    module = (MODULES / f"{variant}.wasm").read_bytes()
    at = sections(module)[IMPORTS]
    count, at = number(module, at)
    assert count == 1
    folder, at = name(module, at)
    field, at = name(module, at)
    assert (folder, field) == ("env", "memory")
    memory, shared_with_maximum = 2, 3
    assert module[at] == memory
    assert module[at + 1] == shared_with_maximum
    least, at = number(module, at + 2)
    most, at = number(module, at)
    assert (least, most) == (2, MAX_PAGES)
    assert at == min(offset for offset in section_ends(module) if offset >= at)

    (found,) = engine.compiled(variant).imports
    assert (found.module, found.name) == ("env", "memory")
    assert isinstance(found.type, wasmtime.MemoryType)
    assert found.type.is_shared
    assert (found.type.limits.min, found.type.limits.max) == (2, MAX_PAGES)


def section_ends(module):
    """Yield the offset past each section of a module."""
    at = 8
    while at < len(module):
        length, at = number(module, at + 1)
        at += length
        yield at


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_module_exports_the_kernels_and_two_globals(variant):
    exports = engine.compiled(variant).exports
    functions = {e.name for e in exports if isinstance(e.type, wasmtime.FuncType)}
    others = {e.name: e.type for e in exports if e.name not in functions}
    assert functions == {kernel.export for kernel in KERNELS}
    assert others.keys() == {"__stack_pointer", "__heap_base"}
    assert all(isinstance(kind, wasmtime.GlobalType) for kind in others.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_linkers_own_function_runs_at_the_start(variant):
    """It writes the module's constants to its memory. It can call nothing outside the module."""
    module = (MODULES / f"{variant}.wasm").read_bytes()
    at = sections(module).get(START)
    if at is not None:
        manifest = json.loads((MODULES / "manifest.json").read_text())
        names = manifest["modules"][variant]["functions"].split()
        assert names[number(module, at)[0]] == "__wasm_init_memory"


def test_the_unchecked_way_is_there():
    """Without it, the tests below would walk through the public way twice."""
    assert instance._unchecked_call is not None  # noqa: SLF001 - no public way tells.


# Counts, strides and flags of attention that its check of arguments lets pass, so that it reads its
# operands: all heads, queries and keys and their numbers; rows as stored; strides; no mask.
ATTENTION_NUMBERS = [
    *(0, 4, 1, 0, 75, 0, 75, 1, 75, 75, 20, 20),
    *(0, 0),
    *(20, 20, 20, 20, 1500, 1500, 1500, 1500, 75),
    *(0, 0, 75, 1, 1, 60, 0),
    # No dropout.
    *[0] * 6,
]
NUMBERS = {
    ATTENTION: ATTENTION_NUMBERS,
    MATMUL_I8: [16] * 5 + [0],
    SOFTMAX_PIECE: [16, 1],
    NORM_PIECE: [16, 16, 0],
    MEAN_POOL_PIECE: [16] * 4 + [1],
    ATTENTION_BACKWARD: [*ATTENTION_NUMBERS, *[20] * 4, *[1500] * 4],
}


def wild_calls(kernel, wild, inside):
    """Return arguments with each pointer in turn at a wild address, then with all pointers there.

    The other pointers are at an address inside linear memory.
    """
    letters = kernel.signature
    numbers = iter(NUMBERS.get(kernel, [16] * (letters.count("i") + letters.count("u"))))
    plain = [{"p": inside, "f": 0.5}.get(c) or next(numbers) for c in letters]
    pointers = [at for at, letter in enumerate(letters) if letter == "p"]
    for places in [*([at] for at in pointers), pointers]:
        arguments = list(plain)
        for at in places:
            arguments[at] = wild
        yield arguments


def is_out_of_bounds(runtime, kernel, arguments):
    """Call a kernel; return True if the sandbox stopped it at an address outside linear memory."""
    try:
        runtime.workers.first.call(kernel, arguments)
    except fw.KernelTrap as error:
        return "out of bounds memory access" in str(error)
    return False


@pytest.mark.parametrize("fast", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_wild_addresses_trap_in_every_kernel(variant, fast):
    """No kernel touches the memory of the host, whichever of its pointers is wild.

    A kernel may refuse its arguments, or not read an operand at all; at least one call of each must
    trap. The nearest free pages before and after what the engine reserved are the test's, and hold
    what they held.
    """
    host = normal(1000)
    before = host.copy()
    with runtime_calling(fast=fast, variant=variant, max_memory=MOST) as rt:
        canaries = neighbours(rt.arena.address)
        expected = fw.gelu(host, runtime=rt)
        operand = rt.empty(1 << 18)
        inside = rt.arena.offset_of(operand)
        behind = rt.stats().bytes_reserved
        traps = dict.fromkeys(KERNELS, 0)
        for kernel in KERNELS:
            for wild in [*WILD, behind, behind - 4, MOST, MOST + PAGE_BYTES]:
                for arguments in wild_calls(kernel, wild, inside):
                    traps[kernel] += is_out_of_bounds(rt, kernel, arguments)
        assert [kernel.export for kernel, count in traps.items() if not count] == []
        assert len(canaries) == 2 or sys.platform != "linux"
        assert all(canary.raw == CANARY for canary in canaries)
        assert_same_bits(host, before)
        assert_same_bits(fw.gelu(host, runtime=rt), expected)


@pytest.mark.parametrize("fast", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_operand_that_crosses_the_end_traps(variant, fast):
    """The last byte inside can be read and written, the first byte outside cannot."""
    with runtime_calling(fast=fast, variant=variant, max_memory=MOST) as rt:
        call = rt.workers.first.call
        end = rt.stats().bytes_reserved
        assert end < MOST
        assert call(GELU, (end - 64, end - 64, 16)) == 0
        for source, to in [(end - 60, end - 256), (end - 256, end - 60)]:
            with pytest.raises(fw.KernelTrap, match="out of bounds"):
                call(GELU, (source, to, 16))
        # The memory grows over the address, up to the most that it may have.
        rt.empty(8 << 20, np.uint8)
        assert call(VECADD, (end - 60, end - 60, end - 60, 16)) == 0


def test_the_engine_itself_holds_the_memory_to_its_maximum():
    """The limit is part of the memory's type, so that it holds without the host's own check."""
    with fw.Runtime(threads=1, max_memory=MOST) as rt:
        memory = rt.arena._memory  # noqa: SLF001 - there is no public way around the check.
        for pages in (MAX_PAGES, MOST // PAGE_BYTES - memory.pages + 1):
            with pytest.raises(wasmtime.WasmtimeError, match="failed to grow memory"):
                memory.memory.grow(pages)
        memory.memory.grow(MOST // PAGE_BYTES - memory.pages)
        with pytest.raises(wasmtime.WasmtimeError, match="failed to grow memory"):
            memory.memory.grow(1)
        with pytest.raises(fw.KernelTrap, match="out of bounds"):
            rt.workers.first.call(GELU, (MOST, MOST, 1))
        assert rt.workers.first.call(GELU, (MOST - 64, MOST - 64, 16)) == 0


def neighbours(address):
    """Map a page before and a page after what the engine reserved, and fill them with a pattern."""
    if sys.platform != "linux":
        return []
    found = []
    for side in range(2):
        # Python itself may map a page there between the look and the call: then look again.
        canaries = (page((begin - mmap.PAGESIZE, end)[side]) for begin, end in reserved(address))
        found.append(next(canary for canary in canaries if canary is not None))
    return found


def reserved(address):
    """Yield, as it is at each moment, where the mappings around an address begin and end."""
    for _ in range(100):
        begin = end = address
        text = Path("/proc/self/maps").read_text("utf-8")
        regions = [[int(at, 16) for at in line.split()[0].split("-")] for line in text.splitlines()]
        for first, last in regions:
            if first <= end < last:
                end = last
        for first, last in reversed(regions):
            if first < begin <= last:
                begin = first
        yield begin, end


def page(address):
    """Return a page that is mapped at an address and filled; None if there is one already."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    access = mmap.PROT_READ | mmap.PROT_WRITE
    found = library.mmap(address, mmap.PAGESIZE, access, flags, -1, 0)
    if found != address:
        return None
    content = (ctypes.c_char * mmap.PAGESIZE).from_address(address)
    content.raw = CANARY
    return content
