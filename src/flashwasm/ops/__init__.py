"""The kernel operations on NumPy arrays.

Every function takes ``out=`` (a float32 array to write to), ``runtime=`` (None means the process's
own) and ``timeout=`` (seconds; None means the runtime's own). Inputs are float32, or float64,
float16 and bfloat16, which are converted to float32 on the way in: float64 narrows. Results are
float32, in NumPy's memory unless every input lies in the runtime's linear memory. Inputs larger
than linear memory are processed in parts.
"""

from flashwasm.ops.elementwise import gelu, vecadd
from flashwasm.ops.embeddings import embedding, rotary_embedding
from flashwasm.ops.matrix_product import matmul
from flashwasm.ops.normalization import layer_norm, rms_norm, softmax
from flashwasm.ops.pooling import mean_pool
from flashwasm.ops.top_k import cosine_top_k

__all__ = [
    "cosine_top_k",
    "embedding",
    "gelu",
    "layer_norm",
    "matmul",
    "mean_pool",
    "rms_norm",
    "rotary_embedding",
    "softmax",
    "vecadd",
]
