"""Every operation in float64 NumPy, in its most obvious form.

Arguments are arrays of any float type. The package converts float64 inputs to float32, so convert
the inputs before you compare results.
"""

from flashwasm.oracles.reference.adaptation import (
    gradient,
    lora_apply,
    lora_fisher,
    lora_log_probabilities,
    lora_logits,
    lora_loss,
    whitening,
)
from flashwasm.oracles.reference.attention import (
    attention,
    attention_backward,
    attention_scores,
    causal_offset,
    kept_weights,
    philox,
    summed,
)
from flashwasm.oracles.reference.operations import (
    embedding,
    gelu,
    layer_norm,
    matmul,
    matmul_i8,
    mean_pool,
    rms_norm,
    rotary_embedding,
    similarity,
    softmax,
    top_k,
    vecadd,
)

__all__ = [
    "attention",
    "attention_backward",
    "attention_scores",
    "causal_offset",
    "embedding",
    "gelu",
    "gradient",
    "kept_weights",
    "layer_norm",
    "lora_apply",
    "lora_fisher",
    "lora_log_probabilities",
    "lora_logits",
    "lora_loss",
    "matmul",
    "matmul_i8",
    "mean_pool",
    "philox",
    "rms_norm",
    "rotary_embedding",
    "similarity",
    "softmax",
    "summed",
    "top_k",
    "vecadd",
    "whitening",
]
