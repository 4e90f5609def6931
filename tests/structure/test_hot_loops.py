"""The guard over hot loops: it finds loops in machine code, and fails where they use the stack."""

import shutil
import subprocess
import sys

import pytest

from paths import ROOT

# A loop of one multiply-add and one spill around a cold block, inside a loop, after a jump table's
# bytes. Address and text, as objdump prints them.
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
    monkeypatch.syspath_prepend(str(ROOT / "wasm"))


@pytest.mark.usefixtures("tools")
def test_the_inner_loop_is_found_without_its_cold_side():
    from machine_code import innermost_loops  # noqa: PLC0415 - the folder of the fixture.

    (loop,) = innermost_loops(CODE)
    assert (loop.address, loop.instructions) == (0x20, 7)
    assert (loop.multiply_adds, loop.stack_moves) == (1, 1)


@pytest.mark.usefixtures("tools")
def test_a_function_without_loops_has_none():
    from machine_code import innermost_loops  # noqa: PLC0415

    assert innermost_loops(CODE[13:14]) == []


@pytest.mark.usefixtures("tools")
def test_faults_are_named():
    from hot_loops import ALLOWED, HOT, faults  # noqa: PLC0415
    from machine_code import Loop  # noqa: PLC0415

    fine = [(name, Loop(16, 40, 8, 0)) for name in sorted(HOT | ALLOWED.keys())]
    assert faults(fine, ALLOWED) == []
    spilled = [*fine, ("add_tile", Loop(32, 40, 8, 1))]
    assert [line.split(",")[0] for line in faults(spilled, ALLOWED)] == ["add_tile"]
    most, _ = ALLOWED["weigh"]
    assert faults([*fine, ("weigh", Loop(32, 40, 8, most))], ALLOWED) == []
    assert "allowed" in faults([*fine, ("weigh", Loop(32, 40, 8, most + 1))], ALLOWED)[0]
    assert faults([f for f in fine if f[0] != "add_tile"], ALLOWED) == [
        "add_tile: no loop with multiply-adds was found"
    ]
    assert faults(fine, {**ALLOWED, "gone": (1, "why")}) == ["gone: in ALLOWED, has no such loop"]


@pytest.mark.usefixtures("tools")
def test_names_are_read_from_a_module():
    from function_names import function_names, without_custom  # noqa: PLC0415

    name = b"\x04name\x00\x02\x01m\x01\x07\x02\x00\x01a\x01\x01b"
    other = b"\x03\x02\x01\x00"
    module = b"\x00asm\x01\x00\x00\x00" + other + b"\x00" + bytes([len(name)]) + name
    assert function_names(module) == ["a", "b"]
    assert without_custom(module) == [(3, b"\x01\x00")]
    with pytest.raises(ValueError, match="no name section"):
        function_names(module[:12])


@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_the_module_that_is_shipped_passes():
    command = [sys.executable, ROOT / "wasm" / "hot_loops.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hot loops: ")


def test_without_objdump_it_says_so():
    command = [sys.executable, ROOT / "wasm" / "hot_loops.py", "--objdump", "no-such-objdump"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "not looked at" in done.stdout
