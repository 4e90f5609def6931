"""Attention on a backend outside the sandbox, from checked inputs to the caller's array."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.backend import AttentionWork
from flashwasm.backends.choice import limits_of, record
from flashwasm.flash_attention.score_modifiers import is_causal
from flashwasm.ops.elsewhere import float32
from flashwasm.runtime.deadline import checker
from flashwasm.runtime.splitting import copied_to
from flashwasm.validation import checked_out, flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from flashwasm.backends.backend import Backend
    from flashwasm.flash_attention.inputs import AttentionInputs
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

__all__ = ["attend", "call_kind", "used_options"]


def call_kind(
    operands: tuple[Any, Any, Any], options: Mapping[str, Any], *, with_lse: bool
) -> tuple[Any, ...]:
    """Return the properties that decide how long a call takes: operands, options and window."""
    if not options and with_lse is False:
        return operands
    window = options.get("window")
    narrow = isinstance(window, (tuple, list)) and len(window) == 2
    sides = (f"window={window[0]},{window[1]}",) if window is not None and narrow else ()
    return (*operands, *used_options(options, with_lse=with_lse), *sides)


def used_options(options: Mapping[str, Any], *, with_lse: bool) -> tuple[str, ...]:
    """Return the names of the options that change what a call computes, as backends name them."""
    used = [
        name
        for name, value in options.items()
        if name != "seed" and value is not None and _changes(name, value)
    ]
    return (*sorted(used), "return_lse") if flag(with_lse, "return_lse") else tuple(sorted(used))


def _changes(name: str, value: Any) -> bool:
    """Return True unless the option has the value that changes nothing."""
    if name == "causal":
        return is_causal(value)
    return not (name in {"dropout", "softcap"} and isinstance(value, (int, float)) and value == 0)


def attend(
    backend: Backend,
    rt: Runtime,
    inputs: AttentionInputs,
    used: tuple[str, ...],
    out: Array | None,
    timeout: float | None,
) -> Array | tuple[Array, Array]:
    """Compute attention of checked inputs.

    Parameters
    ----------
    backend, rt
        The backend, and the runtime of the call.
    inputs : AttentionInputs
        The checked operands and options.
    used : tuple of str
        Names of the options that the call uses.
    out, timeout
        As in `attention`.
    """
    shape = inputs.result_shape
    checked_out(out, shape)
    record(rt, backend, "attention", used)
    check = checker(rt, timeout, "attention")
    work = _work(inputs, with_lse="return_lse" in used)
    result, lse = backend.attention(work, limits_of(rt, check))
    result = copied_to(out, result.reshape(shape), check)
    return result if lse is None else (result, lse.reshape(shape[:-1]))


def _work(inputs: AttentionInputs, *, with_lse: bool) -> AttentionWork:
    """Return checked inputs in the form that backends expect: with one leading axis."""
    modifiers, lead = inputs.modifiers, inputs.lead
    batch = math.prod(lead)

    def flat(x: Array) -> Array:
        """Return an operand with one leading axis, which is broadcast."""
        whole = np.broadcast_to(x, (*lead, *x.shape[-3:]))
        return float32(whole).reshape(batch, *x.shape[-3:])

    mask = inputs.mask
    if mask is not None:
        mask = mask if mask.dtype == np.bool_ else float32(mask)
        if all(size == 1 for size in mask.shape[:-3]):
            mask = mask.reshape(1, *mask.shape[-3:])
        else:
            whole = np.broadcast_to(mask, (*lead, *mask.shape[-3:]))
            mask = whole.reshape(batch, *mask.shape[-3:])
        mask = np.ascontiguousarray(mask)
    dropout = modifiers.dropout
    return AttentionWork(
        q=flat(inputs.q),
        k=flat(inputs.k),
        v=flat(inputs.v),
        mask=mask,
        diagonals=np.ascontiguousarray(inputs.diagonals.reshape(batch), np.int64),
        lengths=np.ascontiguousarray(inputs.lengths.reshape(batch), np.int64),
        before=modifiers.before,
        after=modifiers.after,
        scale=modifiers.scale,
        softcap=modifiers.softcap,
        alibi=modifiers.alibi,
        sinks=modifiers.sinks,
        dropout=1 - 1 / dropout.kept_scale,
        seed=dropout.seed_high << 32 | dropout.seed_low,
        with_lse=with_lse,
    )
