"""The table of cases: each operation at one or several sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.attention_backward import attention_backward_case
from flashwasm.benchmarks.cases.elementwise import (
    embedding_case,
    gelu_case,
    rotary_case,
    vecadd_case,
)
from flashwasm.benchmarks.cases.kv_cache import DECODING
from flashwasm.benchmarks.cases.lora import ADAPTER
from flashwasm.benchmarks.cases.products import matmul_case, matmul_i8_case, top_k_case
from flashwasm.benchmarks.cases.rows import (
    layer_norm_case,
    mean_pool_case,
    rms_norm_case,
    softmax_case,
)

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Case

CASES: tuple[Case, ...] = (
    matmul_case(512, 512, 512),
    matmul_case(512, 384, 1536),
    matmul_i8_case(512, 384, 1536),
    vecadd_case(1 << 20),
    vecadd_case(4096),
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


def representative(operation: str) -> Case:
    """Return the first case of an operation in the table."""
    return next(case for case in CASES if case.operation == operation)
