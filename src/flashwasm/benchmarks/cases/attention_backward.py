"""The case of attention's gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.case import Case
from flashwasm.benchmarks.cases.attention import head_by_head
from flashwasm.flash_attention.attention import attention
from flashwasm.flash_attention.backward import attention_backward
from flashwasm.oracles import bounds, reference

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array, Inputs


def attention_backward_case(heads: int, length: int, dim: int, *, causal: bool = False) -> Case:
    """Return the case of one size."""
    visible = np.tri(length, dtype=np.bool_) if causal else np.ones((length, length), np.bool_)

    def make(rng: np.random.Generator) -> Inputs:
        q, k, v, dout = rng.standard_normal((4, heads, length, dim), np.float32)
        # The bounds hold for the output and the log-sum-exp that the kernels compute.
        out, lse = attention(q, k, v, causal=causal, return_lse=True)
        return dout, q, k, v, out, lse

    def run(*inputs: Array, **options: Any) -> tuple[Array, ...]:
        return attention_backward(*inputs, causal=causal, **options)

    def baseline(
        dout: Array, q: Array, k: Array, v: Array, out: Array, lse: Array
    ) -> tuple[Array, ...]:
        scale = q.dtype.type(dim**-0.5)
        p = np.exp(q @ k.swapaxes(-1, -2) * scale - lse[..., None])
        if causal:
            p *= visible
        delta = (dout * out).sum(axis=-1, keepdims=True)
        ds = p * (dout @ v.swapaxes(-1, -2) - delta) * scale
        return ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dout

    def oracle(dout: Array, q: Array, k: Array, v: Array, *_: Array) -> tuple[Array, ...]:
        return head_by_head(reference.attention_backward, causal=causal)(dout, q, k, v)

    def bound(dout: Array, q: Array, k: Array, v: Array, *_: Array) -> tuple[Array, ...]:
        return head_by_head(bounds.attention_backward, causal=causal)(dout, q, k, v)

    return Case(
        operation="attention_backward",
        size=f"{heads}x{length}x{dim}" + (" causal" if causal else ""),
        make=make,
        run=run,
        baseline=baseline,
        oracle=oracle,
        bound=bound,
        # Five products of the size of the scores, where attention itself has two.
        work=10.0 * heads * length * length * dim / (2 if causal else 1),
        unit="GFLOP/s",
        baseline_name="NumPy: five products over stored scores",
    )
