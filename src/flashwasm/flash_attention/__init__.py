"""Exact attention: softmax(scale Q Kᵀ + mask) V without ever holding the scores."""

from flashwasm.flash_attention.dense import attention
from flashwasm.flash_attention.materialized import materialized_attention
from flashwasm.flash_attention.packed import attention_packed

__all__ = ["attention", "attention_packed", "materialized_attention"]
