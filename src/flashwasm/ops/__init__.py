"""Operations on NumPy arrays.

Inputs are arrays of float32, float64, float16 or bfloat16. They are converted to float32, so
float64 inputs lose precision. Results are float32. A new result is allocated in the runtime's
linear memory if all inputs lie there, and in NumPy's memory otherwise. Inputs that do not fit into
linear memory are processed in parts.
"""

from flashwasm.ops.elementwise import gelu, vecadd
from flashwasm.ops.embeddings import embedding, rotary_embedding
from flashwasm.ops.int8_product import Int8Matrix, matmul_i8
from flashwasm.ops.matrix_product import matmul
from flashwasm.ops.normalization import layer_norm, rms_norm, softmax
from flashwasm.ops.pooling import mean_pool
from flashwasm.ops.top_k import cosine_top_k

__all__ = [
    "Int8Matrix",
    "cosine_top_k",
    "embedding",
    "gelu",
    "layer_norm",
    "matmul",
    "matmul_i8",
    "mean_pool",
    "rms_norm",
    "rotary_embedding",
    "softmax",
    "vecadd",
]
