"""A third host of the modules: Pulley, wasmtime's portable interpreter.

    python pulley_host.py request.json

The request is that of second_host.mjs. Pulley supports neither atomic instructions nor shared
memory, so this program patches a module. Its memory is no longer shared. The start function, which
the linker wrote, copies the constants without checking whether another instance already did. The
code of the kernels stays unchanged. The engine is configured to refuse atomics, so no other part of
the module can use them.
"""

import json
import re
import sys
from pathlib import Path

import wasmtime

IMPORTS, START, CODE = 2, 8, 10
SHARED_WITH_MAXIMUM, WITH_MAXIMUM = 3, 1
MEMORY = b"\x03env\x06memory\x02"  # An import's module, name and kind.
# i32.const address, i32.const 0, i32.const length, memory.init of segment 0 in memory 0.
COPY_CONSTANTS = re.compile(
    rb"\x41[\x80-\xff]*[\x00-\x7f]\x41\x00\x41[\x80-\xff]*[\x00-\x7f]\xfc\x08\x00\x00"
)
NOP, END = b"\x01", b"\x0b"


def number(module, at):
    """Return the unsigned LEB128 number at an offset, and the offset past it."""
    value = shift = 0
    while module[at] & 0x80:
        value |= (module[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | module[at] << shift, at + 1


def sections(module):
    """Return the offset of each section's content, by the section's number."""
    found, at = {}, 8
    while at < len(module):
        kind = module[at]
        length, at = number(module, at + 1)
        found[kind] = at
        at += length
    return found


def start_body(module, found):
    """Return the start and the end of the start function's body."""
    wanted, _ = number(module, found[START])
    _, at = number(module, found[CODE])
    for _ in range(wanted):
        length, at = number(module, at)
        at += length
    length, at = number(module, at)
    return at, at + length


def without_atomics(module):
    """Return the module with an unshared memory and a start function without atomics."""
    found, patched = sections(module), bytearray(module)
    limits = module.index(MEMORY, found[IMPORTS]) + len(MEMORY)
    assert module[limits] == SHARED_WITH_MAXIMUM
    patched[limits] = WITH_MAXIMUM
    if START in found:
        begin, end = start_body(module, found)
        copy = COPY_CONSTANTS.search(module, begin, end).group()
        locals_and_code = b"\x00" + copy
        patched[begin:end] = locals_and_code.ljust(end - begin - 1, NOP) + END
    return bytes(patched)


def main():
    request = json.loads(Path(sys.argv[1]).read_text())
    config = wasmtime.Config()
    config.target = "pulley64"
    config.wasm_threads = False
    config.wasm_simd = config.wasm_relaxed_simd = True
    config.wasm_relaxed_simd_deterministic = True
    engine = wasmtime.Engine(config)
    module = wasmtime.Module(engine, without_atomics(Path(request["module"]).read_bytes()))
    store = wasmtime.Store(engine)
    limits = wasmtime.Limits(request["pages"], 65536)
    memory = wasmtime.Memory(store, wasmtime.MemoryType(limits))
    exports = wasmtime.Instance(store, module, [memory]).exports(store)
    exports["__stack_pointer"].set_value(store, wasmtime.Val.i32(request["stackTop"]))

    image, address = Path(request["image"]).read_bytes(), request["address"]
    memory.write(store, image, address)
    statuses = [exports[name](store, *arguments) for name, arguments in request["calls"]]
    Path(request["output"]).write_bytes(memory.read(store, address, address + len(image)))
    sys.stdout.write(json.dumps(statuses))


if __name__ == "__main__":
    main()
