"""Do the hot loops keep their vectors in registers? A guard over what the compilers make of the C.

    PYTHONPATH=src python wasm/hot_loops.py [--objdump objdump] [--all]

Register allocation is chaotic: a harmless edit can make a loop store and load vectors on every
step, and cost a third of the speed without a wrong result. So this compiles the relaxed module as
the package does, disassembles it with binutils' objdump, and fails where an innermost loop with at
least four vector multiply-adds moves vectors through the stack more often than ALLOWED says.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from machine_code import Loop, disassembled, innermost_loops

from flashwasm.host.engine import compiled
from flashwasm.host.modules import manifest

FEWEST_MULTIPLY_ADDS = 4
VARIANT = "relaxed"

# Stack moves of one step that are known, at most, and why they are let be. A function that is not
# here may have none.
ALLOWED = {
    "weigh": (8, "two exponentials in flight: constants reloaded; a few percent of attention"),
    "softmax_f32": (8, "as weigh"),
    "weigh_row": (3, "as weigh, one query; small beside the products"),
    "weigh_fully": (55, "the gradient's weights with softcap or dropout; not measured apart"),
    "weigh_plain": (42, "the gradient's weights, beside five products; not measured apart"),
    "lora_forward": (10, "an adapter's few rows; not measured apart"),
    "gelu_f32": (27, "erf's coefficients do not fit beside four vectors"),
    "gelu_tanh_f32": (6, "as gelu_f32, fewer coefficients"),
    "cap_scores": (21, "tanh of a softcap; only with that option"),
    "score_sixteen": (25, "sixteen keys of a cache at once: bound by memory, not by these"),
    "multiply_panel": (5, "int8 keys: bound by memory"),
    "add_values_int8": (3, "int8 values: bound by memory"),
    "offer_tile": (6, "bounds of the few tiles with a sum above its threshold"),
    "visit_run": (3, "careful_value_tile: values that are not finite; rare"),
}

# Functions without which this would look at nothing.
HOT = {
    *("add_tile", "score_tile", "value_tile", "weigh", "score_panel", "add_columns"),
    *("softmax_f32", "layer_norm_f32", "gelu_f32", "dot_tile"),
}


def hot_loops(objdump: str) -> list[tuple[str, Loop]]:
    """Return the loops of the relaxed module that hold multiply-adds, by function."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.elf"
        path.write_bytes(compiled(VARIANT).serialize())
        functions = disassembled(objdump, path)
    names = manifest()["modules"][VARIANT]["functions"].split()
    if len(names) != len(functions):
        sys.exit(f"{len(functions)} functions, {len(names)} names in the manifest: make wasm")
    return [
        (names[index], loop)
        for index, code in functions.items()
        for loop in innermost_loops(code)
        if loop.multiply_adds >= FEWEST_MULTIPLY_ADDS
    ]


def faults(loops: list[tuple[str, Loop]], allowed: dict[str, tuple[int, str]]) -> list[str]:
    """Return what is wrong with the loops, a line each."""
    seen = {name for name, _ in loops}
    lines = [f"{name}: no loop with multiply-adds was found" for name in sorted(HOT - seen)]
    lines += [f"{name}: in ALLOWED, has no such loop" for name in sorted(allowed.keys() - seen)]
    for name, loop in loops:
        most = allowed.get(name, (0, ""))[0]
        if loop.stack_moves > most:
            lines.append(
                f"{name}, loop at {loop.address:#x}: {loop.stack_moves} vector moves through the "
                f"stack for {loop.multiply_adds} multiply-adds; allowed: {most}"
            )
    return lines


def main() -> None:
    """Look at the module, print what was found, and fail where it is worse than is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--all", action="store_true", help="print every loop, not only faults")
    options = parser.parse_args()
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        print(f"hot loops: not looked at, since this reads x86-64 code, not {platform.machine()}")
        return
    if shutil.which(options.objdump) is None:
        print(f"hot loops: not looked at, since there is no {options.objdump} (binutils has it)")
        return
    loops = hot_loops(options.objdump)
    if not loops:
        print("hot loops: not looked at, since this processor has no fused multiply-add")
        return
    if options.all:
        for name, loop in loops:
            print(
                f"{name:20} {loop.instructions:4} instructions {loop.multiply_adds:3} "
                f"multiply-adds {loop.stack_moves:3} stack moves"
            )
    if found := faults(loops, ALLOWED):
        sys.exit("\n".join(found))
    print(f"hot loops: {len(loops)} loops, none uses the stack more than is known and explained")


if __name__ == "__main__":
    main()
