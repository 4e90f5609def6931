"""The peak arithmetic rate of one core with 128-bit vectors, in the engine of the kernels."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import wasmtime

from flashwasm.host.engine import engine

# Number of chains of dependent multiply-adds. A multiply-add takes four cycles and two begin in
# each cycle, so at least eight chains keep the core busy. Each iteration makes only one step of
# every chain: with two, the engine could place the steps of one chain next to each other, and the
# second would wait for the first.
_CHAINS = 12
# Floats in a vector.
_LANES = 4
# Iterations of the loop in one run.
_STEPS = 1_000_000


def _text() -> str:
    """Return the text of a module that only computes ``a = a * x + y``, in several chains.

    There are no loads or stores. The result replaces the multiplicand in its register, so an x86
    processor needs one instruction per step.
    """
    locals_ = " ".join(f"(local $a{i} v128)" for i in range(_CHAINS))
    start = "\n".join(
        f"(local.set $a{i} (f32x4.splat (f32.const {i + 1})))" for i in range(_CHAINS)
    )
    step = "\n".join(
        f"(local.set $a{i} (f32x4.relaxed_madd (local.get $a{i}) (local.get $x) (local.get $y)))"
        for i in range(_CHAINS)
    )
    total = "(local.get $a0)"
    for i in range(1, _CHAINS):
        total = f"(f32x4.add {total} (local.get $a{i}))"
    return f"""(module (func (export "run") (param $n i32) (param $c f32) (result f32)
      {locals_} (local $x v128) (local $y v128)
      (local.set $x (f32x4.splat (local.get $c))) (local.set $y (f32x4.splat (local.get $c)))
      {start}
      (loop $again
        {step}
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (local.get $n)))
      (f32x4.extract_lane 0 {total})))"""


class PeakLoop:
    """A WebAssembly loop of fused multiply-adds in registers, for comparison with kernels."""

    def __init__(self) -> None:
        self._store = wasmtime.Store(engine())
        module = wasmtime.Module(engine(), _text())
        exports: Any = wasmtime.Instance(self._store, module, []).exports(self._store)
        self._run = exports["run"]

    def rate(self) -> float:
        """Return the floating-point operations per second of one run, which takes milliseconds."""
        start = perf_counter()
        self._run(self._store, _STEPS, 0.5)
        elapsed = perf_counter() - start
        return 2.0 * _LANES * _CHAINS * _STEPS / elapsed
