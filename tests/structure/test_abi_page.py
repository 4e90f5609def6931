"""The reference in docs/abi.md is generated from the C, and the page's tables agree with the C.

To write the reference again, after a change of the C:

    PYTHONPATH=src:tests/helpers python tests/structure/test_abi_page.py
"""

import re

import wasmtime

from checkout import ROOT, SOURCE
from flashwasm.host.instance import INSTANCE_BYTES, Instance
from flashwasm.host.shared_memory import MAX_PAGES, PAGE_BYTES, SharedMemory
from source_code import C_FILES

PAGE = ROOT / "docs" / "abi.md"
MARK = "<!-- reference -->\n"
HEADER = (ROOT / "wasm" / "abi.h").read_text("utf-8")
PROTOTYPE = re.compile(r"^int32_t (\w+)\((.*?)\);", re.MULTILINE | re.DOTALL)


def kernels():
    """Return {export: parameters} in the order of the header."""
    return {name: " ".join(text.split()) for name, text in PROTOTYPE.findall(HEADER)}


def opening_comment(path):
    """Return the comment that a C file begins with, as plain lines."""
    comment = re.match(r"/\* (.*?) ?\*/", path.read_text("utf-8"), re.DOTALL)[1]
    return re.sub(r"^ \* ?", "", comment, flags=re.MULTILINE).rstrip()


def files_of_kernels():
    """Yield (C file, its exports), without the obvious versions, in the order of the header."""
    order = list(kernels())
    found = {}
    for path in C_FILES:
        if path.parent.name != "reference":
            exports = re.findall(r"^EXPORT\((\w+)\)", path.read_text("utf-8"), re.MULTILINE)
            if exports:
                found[path] = sorted(exports, key=order.index)
    yield from sorted(found.items(), key=lambda item: order.index(item[1][0]))


def rendered():
    """Return the reference."""
    begin = HEADER.index("enum status")
    declarations = HEADER[begin : PROTOTYPE.search(HEADER).start()].rstrip()
    parts = ["### Statuses, limits and structures\n", f"```c\n{declarations}\n```\n"]
    parameters = kernels()
    # The comments between the prototypes name the passes over a long row.
    prototypes = HEADER[PROTOTYPE.search(HEADER).start() : HEADER.rindex(";") + 1]
    parts += ["### Declarations of the functions\n", f"```c\n{prototypes}\n```\n"]
    for path, exports in files_of_kernels():
        parts += ["### " + ", ".join(f"`{export}`" for export in exports) + "\n"]
        parts += [f"```text\n{opening_comment(path)}\n```\n"]
        assert parameters.keys() >= set(exports)
    return "\n".join(parts)


def test_the_reference_is_that_of_the_c_files():
    """`PYTHONPATH=src:tests/helpers python tests/structure/test_abi_page.py` writes it again."""
    _, _, reference = PAGE.read_text("utf-8").partition(MARK)
    assert reference.strip() == rendered().strip()


def test_the_statuses_are_those_of_the_header():
    stated = re.findall(r"^\| (\d) \| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    body = re.search(r"enum status \{(.*?)\};", HEADER, re.DOTALL)[1]
    assert stated == [(n, name) for name, n in re.findall(r"(STATUS_\w+) = (\d)", body)]


def test_every_export_has_a_part():
    headings = re.findall(r"^### (`.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {name for line in headings for name in re.findall(r"`(\w+)`", line)} == set(kernels())


def test_the_modules_import_and_export_what_the_page_says():
    config = wasmtime.Config()
    config.wasm_threads = config.shared_memory = config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    for path in sorted((SOURCE / "_wasm").glob("*.wasm")):
        module = wasmtime.Module(engine, path.read_bytes())
        (memory,) = module.imports
        assert (memory.module, memory.name) == ("env", "memory")
        limits = memory.type.limits
        assert (limits.min, limits.max) == (2, 65536)
        others = {e.name: e.type for e in module.exports if e.name not in kernels()}
        assert {name: kind.mutable for name, kind in others.items()} == {
            "__stack_pointer": True,
            "__heap_base": False,
        }
        assert heap_base(path.stem) <= 2 * PAGE_BYTES


def heap_base(variant):
    """Return the address that the host's part of memory may begin at."""
    memory = SharedMemory(2 + -(-INSTANCE_BYTES // PAGE_BYTES), MAX_PAGES)
    instance = Instance(variant, memory, 2 * PAGE_BYTES)
    store = instance._store  # noqa: SLF001 - the package itself does not ask for the address.
    exports = instance._instance.exports(store)  # noqa: SLF001 - as above.
    return exports["__heap_base"].value(store)


if __name__ == "__main__":
    head, _, _ = PAGE.read_text("utf-8").partition(MARK)
    PAGE.write_text(f"{head}{MARK}\n{rendered().rstrip()}\n", "utf-8")
