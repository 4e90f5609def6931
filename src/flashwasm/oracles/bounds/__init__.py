"""Error bounds: the maximum distance of a correct float32 result from the float64 oracle.

The bounds are derived from the operands and cover the worst case. None of them is adjusted to the
measured error of a kernel. A chain of n rounded operations multiplies each term of a sum by at most
1 + gamma(n), for any order of the terms, with or without fused multiply-adds (Higham, "Accuracy and
Stability of Numerical Algorithms", lemma 3.1). Underflow adds at most 2**-149 to a term.
"""

from flashwasm.oracles.bounds.adaptation import lora_apply
from flashwasm.oracles.bounds.attention import attention, attention_backward, attention_int8
from flashwasm.oracles.bounds.comparison import assert_close
from flashwasm.oracles.bounds.operations import (
    gelu,
    layer_norm,
    matmul,
    matmul_i8,
    mean_pool,
    rms_norm,
    rotary_embedding,
    similarity,
    softmax,
)
from flashwasm.oracles.bounds.rounding import Exponential, gamma

__all__ = [
    "Exponential",
    "assert_close",
    "attention",
    "attention_backward",
    "attention_int8",
    "gamma",
    "gelu",
    "layer_norm",
    "lora_apply",
    "matmul",
    "matmul_i8",
    "mean_pool",
    "rms_norm",
    "rotary_embedding",
    "similarity",
    "softmax",
]
