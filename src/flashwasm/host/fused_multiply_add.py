"""Test that an engine rounds a relaxed multiply-add once, as the same bits on all hosts require."""

from __future__ import annotations

from typing import cast

import wasmtime

__all__ = ["fuses"]

# (module (func (export "f") (param f32 f32 f32) (result f32)
#   (f32x4.extract_lane 0 (f32x4.relaxed_madd
#     (f32x4.splat (local.get 0)) (f32x4.splat (local.get 1)) (f32x4.splat (local.get 2))))))
_MULTIPLY_ADD = bytes.fromhex(
    "0061736d01000000 010801 60037d7d7d017d 03020100 0705 01 0166 00 00"
    "0a1601140020 00fd13 2001fd13 2002fd13 fd8502 fd1f00 0b"
)
# With e = 2^-12, (1 + e) (1 - e) - 1 is -e^2; if the product is rounded first, it is 0.
_OPERANDS = (1 + 2**-12, 1 - 2**-12, -1.0)
_ROUNDED_ONCE = -(2.0**-24)


def fuses(engine: wasmtime.Engine) -> bool:
    """Return True if an engine computes a relaxed multiply-add with one rounding."""
    module = wasmtime.Module(engine, _MULTIPLY_ADD)
    store = wasmtime.Store(engine)
    function = cast("wasmtime.Func", wasmtime.Instance(store, module, []).exports(store)["f"])
    return bool(function(store, *_OPERANDS) == _ROUNDED_ONCE)
