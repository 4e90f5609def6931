"""The cases that are compared with other libraries."""

from __future__ import annotations

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.elementwise import embedding_case, vecadd_case
from flashwasm.benchmarks.cases.kv_cache import DECODING
from flashwasm.benchmarks.cases.products import matmul_case, matmul_i8_case, unit_top_k_case
from flashwasm.benchmarks.cases.rows import layer_norm_case, softmax_case
from flashwasm.kernel_table import METRICS

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

# Calls that take microseconds, searches without an index, and decoding. Only NumPy is compared.
NUMPY_CASES = (
    matmul_case(64, 64, 64),
    matmul_case(1, 384, 384),
    attention_case(1, 1, 64),
    attention_case(1, 16, 64),
    attention_case(12, 64, 64),
    attention_case(12, 128, 64),
    *(
        unit_top_k_case(queries, 60_000, 384, 10, metric)
        for queries in (1, 4, 64)
        for metric in METRICS
    ),
    *DECODING,
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
