"""Check that the hot loops keep their vectors in registers, in the machine code that is run.

    PYTHONPATH=src python wasm/tools/hot_loops.py [--objdump objdump] [--all]

A harmless edit of the C can change how the compiler assigns registers. A loop may then store and
load vectors on the stack in every step, which costs up to a third of the speed although every
result is still right. This tool compiles the relaxed module as the package does and disassembles
it with objdump of binutils. It looks at innermost loops with at least four vector multiply-adds,
and fails if one of them moves vectors through the stack more often than ALLOWED permits.
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

# For each function: how many vector moves through the stack one step of its loops may make at most,
# and why they are accepted. A function that is not listed may make none.
ALLOWED = {
    "weigh": (4, "reloads constants of the exponential; a few % of attention"),
    "add_exponentials": (6, "like weigh, with the maximum of the next row"),
    "add_thirty_two": (2, "a row of B that is read once: waits for memory"),
    "weigh_row": (3, "like weigh, for one query; takes little time beside the products"),
    "weigh_fully": (55, "weights of the gradient with softcap or dropout; not measured alone"),
    "weigh_plain": (42, "weights of the gradient, beside five products; not measured alone"),
    "lora_forward": (10, "an adapter has few rows; not measured alone"),
    "gelu_f32": (27, "the polynomial's coefficients do not fit into registers beside four vectors"),
    "gelu_tanh_f32": (6, "like gelu_f32, with fewer coefficients"),
    "cap_scores": (21, "tanh of a softcap, only used with that option"),
    "score_sixteen": (25, "scores sixteen keys at once: waits for memory, not for these moves"),
    "multiply_panel": (5, "int8 keys: waits for memory"),
    "add_values_int8": (3, "int8 values: waits for memory"),
}

# Functions that must have such a loop. If one is missing, this tool looks at the wrong code.
HOT = {
    *("product_tile", "sum_tile", "square_distance_tile", "dot_tile"),
    *("multiply_tile_i8", "value_tile", "weigh", "score_panel", "add_sixteen"),
    *("score_panel_halves", "add_sixteen_halves"),
    *("add_exponentials", "layer_norm_f32", "normalize_and_sum", "gelu_f32"),
}


def hot_loops(objdump: str) -> list[tuple[str, Loop]]:
    """Return the loops of the relaxed module with multiply-adds, each with its function's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.elf"
        path.write_bytes(compiled(VARIANT).serialize())
        functions = disassembled(objdump, path)
    names = manifest()["modules"][VARIANT]["functions"].split()
    if len(names) != len(functions):
        sys.exit(
            f"the module has {len(functions)} functions, the manifest {len(names)} names: "
            "run `make wasm`"
        )
    return [
        (names[index], loop)
        for index, code in functions.items()
        for loop in innermost_loops(code)
        if loop.multiply_adds >= FEWEST_MULTIPLY_ADDS
    ]


def faults(loops: list[tuple[str, Loop]], allowed: dict[str, tuple[int, str]]) -> list[str]:
    """Return a line for each thing that is wrong with the loops."""
    seen = {name for name, _ in loops}
    lines = [f"{name}: no loop with multiply-adds was found" for name in sorted(HOT - seen)]
    lines += [
        f"{name}: is listed in ALLOWED but has no such loop"
        for name in sorted(allowed.keys() - seen)
    ]
    for name, loop in loops:
        most = allowed.get(name, (0, ""))[0]
        if loop.stack_moves > most:
            lines.append(
                f"{name}, loop at {loop.address:#x}: {loop.stack_moves} vector moves through the "
                f"stack for {loop.multiply_adds} multiply-adds; allowed: {most}"
            )
    return lines


def main() -> None:
    """Check the module's loops and print the result; exit with the faults, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--objdump", default="objdump", help="the disassembler to run; default: %(default)s"
    )
    parser.add_argument("--all", action="store_true", help="print every loop, not only faults")
    options = parser.parse_args()
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        print(f"hot loops: not checked; this reads x86-64 code, not {platform.machine()}")
        return
    if shutil.which(options.objdump) is None:
        print(f"hot loops: not checked; there is no {options.objdump} (it is part of binutils)")
        return
    loops = hot_loops(options.objdump)
    if not loops:
        print("hot loops: not checked; this processor has no fused multiply-add")
        return
    if options.all:
        for name, loop in loops:
            print(
                f"{name:20} {loop.instructions:4} instructions {loop.multiply_adds:3} "
                f"multiply-adds {loop.stack_moves:3} stack moves"
            )
    if found := faults(loops, ALLOWED):
        sys.exit("\n".join(found))
    print(f"hot loops: {len(loops)} loops; none uses the stack more than ALLOWED permits")


if __name__ == "__main__":
    main()
