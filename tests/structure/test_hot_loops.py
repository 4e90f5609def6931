"""The check of hot loops finds loops in machine code, and fails if they use the stack."""

import importlib
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from checkout import ROOT

TOOLS = ROOT / "wasm" / "tools"

# Addresses and instructions, as objdump prints them: an outer loop around an inner one. The inner
# loop has a multiply-add, a move from the stack, and a cold side that lies after all other code.
CODE = [
    (0x00, "push   rbp"),
    (0x01, "test   edx,edx"),
    (0x03, "je     50 <f+0x50>"),
    (0x10, "xor    ecx,ecx"),
    (0x20, "vmovups xmm1,XMMWORD PTR [rsp+0x10]"),
    (0x28, "vfmadd213ps xmm0,xmm1,xmm2"),
    (0x2C, "cmp    rax,rbx"),
    (0x2F, "je     60 <f+0x60>"),
    (0x34, "vmovaps xmm3,xmm4"),
    (0x38, "dec    ecx"),
    (0x3A, "jne    20 <f+0x20>"),
    (0x3C, "dec    edx"),
    (0x3E, "jne    10 <f+0x10>"),
    (0x50, "ret"),
    (0x60, "vmovups xmm5,XMMWORD PTR [rsp]"),
    (0x64, "vmovups xmm6,XMMWORD PTR [rsp+0x20]"),
    (0x68, "jmp    34 <f+0x34>"),
]


@pytest.fixture
def tools(monkeypatch):
    """Import the scripts of wasm/tools, which belong to no package."""
    monkeypatch.syspath_prepend(str(TOOLS))
    names = ("function_names", "hot_loops", "machine_code")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def test_the_inner_loop_is_found_without_its_cold_side(tools):
    (loop,) = tools.machine_code.innermost_loops(CODE)
    assert (loop.address, loop.instructions) == (0x20, 7)
    assert (loop.multiply_adds, loop.stack_moves) == (1, 1)


def test_a_function_without_loops_has_none(tools):
    assert tools.machine_code.innermost_loops(CODE[13:14]) == []


def test_each_fault_is_named_with_its_function(tools):
    allowed, hot, faults = tools.hot_loops.ALLOWED, tools.hot_loops.HOT, tools.hot_loops.faults
    loop = tools.machine_code.Loop
    fine = [(name, loop(16, 40, 8, 0)) for name in sorted(hot | allowed.keys())]
    assert faults(fine, allowed) == []
    spilled = [*fine, ("sum_tile", loop(32, 40, 8, 1))]
    assert [line.split(",")[0] for line in faults(spilled, allowed)] == ["sum_tile"]
    most, _ = allowed["weigh"]
    assert faults([*fine, ("weigh", loop(32, 40, 8, most))], allowed) == []
    assert "allowed" in faults([*fine, ("weigh", loop(32, 40, 8, most + 1))], allowed)[0]
    assert faults([f for f in fine if f[0] != "sum_tile"], allowed) == [
        "sum_tile: no loop with multiply-adds was found"
    ]
    assert faults(fine, {**allowed, "gone": (1, "why")}) == [
        "gone: is listed in ALLOWED but has no such loop"
    ]


def test_function_names_are_read_from_a_module(tools):
    function_names = tools.function_names.function_names
    name = b"\x04name\x00\x02\x01m\x01\x07\x02\x00\x01a\x01\x01b"
    other = b"\x03\x02\x01\x00"
    module = b"\x00asm\x01\x00\x00\x00" + other + b"\x00" + bytes([len(name)]) + name
    assert function_names(module) == ["a", "b"]
    assert tools.function_names.without_custom(module) == [(3, b"\x01\x00")]
    with pytest.raises(ValueError, match="no name section"):
        function_names(module[:12])


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_the_shipped_module_passes():
    command = [sys.executable, TOOLS / "hot_loops.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hot loops: ")


def test_a_missing_objdump_is_reported():
    command = [sys.executable, TOOLS / "hot_loops.py", "--objdump", "no-such-objdump"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "not checked" in done.stdout
