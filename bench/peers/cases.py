"""The cases that are compared with other libraries."""

from __future__ import annotations

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.elementwise import embedding_case, vecadd_case
from flashwasm.benchmarks.cases.products import matmul_case, matmul_i8_case
from flashwasm.benchmarks.cases.rows import layer_norm_case, softmax_case

PEER_CASES = (
    matmul_case(512, 512, 512),
    matmul_case(512, 384, 1536),
    matmul_i8_case(512, 384, 1536),
    attention_case(12, 512, 64),
    attention_case(12, 512, 64, causal=True),
    attention_case(12, 2048, 64),
    attention_case(12, 2048, 64, causal=True),
    attention_case(8, 4096, 64),
    attention_case(8, 4096, 64, causal=True),
    softmax_case(512, 512),
    layer_norm_case(512, 384),
    vecadd_case(1 << 20),
    embedding_case(512, 30522, 384),
)

# One small case of each operation, for a run that only tests that everything works.
QUICK_CASES = (
    matmul_case(128, 128, 128),
    matmul_i8_case(128, 128, 128),
    attention_case(4, 128, 64),
    attention_case(4, 128, 64, causal=True),
    softmax_case(128, 128),
    layer_norm_case(128, 384),
    vecadd_case(1 << 16),
    embedding_case(128, 1000, 384),
)
