"""The cases: each operation at the sizes that matter, one row a case."""

from flashwasm.bench.operations.adapter import ADAPTER
from flashwasm.bench.operations.attending import attention_case
from flashwasm.bench.operations.backward import attention_backward_case
from flashwasm.bench.operations.decoding import DECODING
from flashwasm.bench.operations.elementwise import (
    embedding_case,
    gelu_case,
    rotary_case,
    vecadd_case,
)
from flashwasm.bench.operations.products import matmul_case, top_k_case
from flashwasm.bench.operations.rowwise import (
    layer_norm_case,
    mean_pool_case,
    rms_norm_case,
    softmax_case,
)

CASES = (
    matmul_case(512, 512, 512),
    matmul_case(512, 384, 1536),
    vecadd_case(4096),
    vecadd_case(1 << 20),
    softmax_case(512, 512),
    embedding_case(512, 30522, 384),
    layer_norm_case(512, 384),
    attention_case(12, 512, 64),
    attention_case(12, 512, 64, causal=True),
    attention_backward_case(12, 512, 64),
    attention_backward_case(12, 512, 64, causal=True),
    rms_norm_case(512, 384),
    gelu_case(512 * 1536),
    rotary_case(12, 512, 64),
    mean_pool_case(32, 64, 384),
    top_k_case(64, 10_000, 384, 10),
    *DECODING,
    *ADAPTER,
)

# What is measured beside other libraries.
PEER_CASES = (
    matmul_case(512, 512, 512),
    matmul_case(512, 384, 1536),
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
