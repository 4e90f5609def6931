"""The engine: its use of relaxed instructions, and equal bits with all its settings."""

import hashlib
import re

import pytest
import wasmtime
from test_second_host import GOLDEN, laid_out, run_in_wasmtime

from checkout import SOURCE
from flashwasm.host import engine
from flashwasm.host.fused_multiply_add import fuses

# Instructions of relaxed SIMD begin with 0xfd and a number from 0x100 to 0x113, in LEB128.
RELAXED = re.compile(rb"\xfd([\x80-\x93])\x02")
MULTIPLY_ADD, NEGATED_MULTIPLY_ADD, DOT_OF_BYTES = 0x105, 0x106, 0x113


@pytest.mark.parametrize("variant", ["relaxed", "simd128", "scalar"])
def test_only_relaxed_instructions_with_one_result_are_used(variant):
    """Any other needs a proof that all engines compute the same: see docs/decisions/0001."""
    content = (SOURCE / "_wasm" / f"{variant}.wasm").read_bytes()
    found = {number[0] - 0x80 + 0x100 for number in RELAXED.findall(content)}
    allowed = {MULTIPLY_ADD, NEGATED_MULTIPLY_ADD, DOT_OF_BYTES}
    assert found <= (allowed if variant == "relaxed" else set())


@pytest.mark.parametrize("deterministic", [True, False])
def test_both_settings_of_the_engine_give_the_golden_bytes(deterministic, monkeypatch):
    chosen = engine.make_engine(deterministic=deterministic)
    if not fuses(chosen):
        pytest.skip("this machine rounds a multiply-add twice")
    state = engine.EngineState()
    state.engine, state.settings = chosen, f"deterministic={deterministic}"
    monkeypatch.setattr(engine, "process_state", state)
    for (variant, operands), digest in GOLDEN.items():
        memory = run_in_wasmtime(variant, *laid_out(operands))
        assert hashlib.sha256(memory).hexdigest() == digest, (variant, operands)


def test_the_deterministic_profile_always_fuses():
    assert fuses(engine.make_engine(deterministic=True))


def test_a_machine_that_does_not_fuse_gets_the_deterministic_profile(monkeypatch):
    asked = []

    def make(*, deterministic):
        asked.append(deterministic)
        return wasmtime.Engine()

    monkeypatch.setattr(engine, "process_state", engine.EngineState())
    monkeypatch.setattr(engine, "make_engine", make)
    monkeypatch.setattr(engine, "fuses", lambda _: False)
    engine.engine()
    assert asked == [False, True]
    assert "'wasm_relaxed_simd_deterministic': True" in engine.process_state.settings
