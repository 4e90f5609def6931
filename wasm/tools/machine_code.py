"""The innermost loops in the machine code that the engine makes of a module, for `hot_loops.py`.

A function's instructions are cut into basic blocks. A block dominates another if every path from
the function's entry to the other passes through it. A jump back to a dominating block closes a
loop: it consists of that block, the head, and all blocks that reach the jump without passing the
head (Aho, Lam, Sethi & Ullman, Compilers, section 9.6).
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_FUNCTION = re.compile(r"^[0-9a-f]+ <wasm\[0\]::function\[(\d+)\]")
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S.*)$")
_JUMP = re.compile(r"^j(\w+) +([0-9a-f]+) ")
_ENDS = ("ret", "ud2", "jmp")
_MULTIPLY_ADD = re.compile(r"^v?(fn?m(add|sub)\w*p|pmaddwd)")
_VECTOR_ON_STACK = re.compile(r"(?=.*[xy]mm)(?=.*\[r(sp|bp)\b)")

Code = list[tuple[int, str]]


@dataclass(frozen=True)
class Loop:
    """An innermost loop: its first address, and counts that leave out code that never runs."""

    address: int
    instructions: int
    multiply_adds: int
    stack_moves: int


def disassembled(objdump: str, path: Path) -> dict[int, Code]:
    """Return the instructions of each function of a serialized module, by the function's index."""
    command = [objdump, "--disassemble", "--no-show-raw-insn", "-M", "intel", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions: dict[int, Code] = {}
    code: Code = []
    for line in text.splitlines():
        if line.endswith(">:"):
            name = _FUNCTION.match(line)
            code = functions.setdefault(int(name[1]), []) if name else []
        elif found := _INSTRUCTION.match(line):
            code.append((int(found[1], 16), found[2]))
    return functions


def innermost_loops(code: Code) -> list[Loop]:
    """Return the loops of a function that hold no other loop."""
    blocks, after = _blocks(code)
    loops = _natural_loops(after)
    found = []
    for head, (body, ends) in sorted(loops.items()):
        if any(other != head and other in body for other in loops):
            continue
        # The engine puts the cold side of a branch after all other code. The only cold sides in hot
        # loops are those of PIN (wasm/shared/tile.h), which never run, so they are not counted.
        texts = [t for start in body if head <= start <= max(ends) for t in blocks[start]]
        found.append(
            Loop(
                head,
                len(texts),
                sum(bool(_MULTIPLY_ADD.match(t)) for t in texts),
                sum(bool(_VECTOR_ON_STACK.match(t)) for t in texts),
            )
        )
    return found


def _blocks(code: Code) -> tuple[dict[int, list[str]], dict[int, list[int]]]:
    """Return the texts of each basic block, and the blocks that may follow it, by address."""
    jumps = {address: found for address, text in code if (found := _JUMP.match(text))}
    starts = {code[0][0], *(int(found[2], 16) for found in jumps.values())}
    starts |= {
        after
        for (address, text), (after, _) in pairwise(code)
        if address in jumps or text.startswith(_ENDS)
    }
    blocks: dict[int, list[str]] = {}
    after: dict[int, list[int]] = defaultdict(list)
    current = code[0][0]
    for (address, text), following in zip(code, [*code[1:], None], strict=True):
        if address in starts:
            current = address
        blocks.setdefault(current, []).append(text)
        if address in jumps:
            after[current].append(int(jumps[address][2], 16))
        falls = following is not None and not text.startswith(_ENDS)
        if falls and following and following[0] in starts:
            after[current].append(following[0])
    return blocks, {block: after[block] for block in blocks}


def _natural_loops(after: dict[int, list[int]]) -> dict[int, tuple[set[int], list[int]]]:
    """Return the blocks of each loop, and those that jump back, by the loop's head."""
    dominators = _dominators(after)
    before: dict[int, list[int]] = defaultdict(list)
    for block in dominators:
        for follower in after[block]:
            before[follower].append(block)
    loops: dict[int, tuple[set[int], list[int]]] = {}
    for block in dominators:
        for head in after[block]:
            if head not in dominators[block]:
                continue
            body, ends = loops.setdefault(head, ({head}, []))
            ends.append(block)
            waiting = [block]
            while waiting:
                one = waiting.pop()
                if one not in body:
                    body.add(one)
                    waiting += before[one]
    return loops


def _dominators(after: dict[int, list[int]]) -> dict[int, set[int]]:
    """Return the dominators of each block that can be reached."""
    entry = next(iter(after))
    order, waiting = {entry: None}, [entry]
    while waiting:
        for follower in after.get(waiting.pop(), ()):
            if follower in after and follower not in order:
                order[follower] = None
                waiting.append(follower)
    before: dict[int, list[int]] = defaultdict(list)
    for block in order:
        for follower in after[block]:
            before[follower].append(block)
    found = {block: set(order) for block in order}
    found[entry] = {entry}
    changed = True
    while changed:
        changed = False
        for block in list(order)[1:]:
            through = set.intersection(*(found[b] for b in before[block])) | {block}
            changed |= through != found[block]
            found[block] = through
    return found
