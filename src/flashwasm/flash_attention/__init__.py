"""Exact attention: softmax(softcap(scale Q Kᵀ) + bias) V without ever holding the scores."""

from flashwasm.flash_attention.backward import attention_backward
from flashwasm.flash_attention.cache import KVCache as KVCache
from flashwasm.flash_attention.dense import attention
from flashwasm.flash_attention.materialized import materialized_attention
from flashwasm.flash_attention.merging import merge_attention
from flashwasm.flash_attention.packed import attention_varlen
from flashwasm.flash_attention.scores import attention_scores

__all__ = [
    "attention",
    "attention_backward",
    "attention_scores",
    "attention_varlen",
    "materialized_attention",
    "merge_attention",
]
