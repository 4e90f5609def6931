"""The table of kernels, with the name and the signature of each.

Each row is an export of the modules in ``_wasm``. The host packs arguments according to this table,
and tests iterate over it. ``docs/abi.md`` describes the arguments. Letters of a signature: ``p`` is
an address in linear memory, ``u`` another unsigned 32-bit number, ``i`` a 32-bit count, stride or
flag, ``f`` a float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, eq=False)  # Rows are equal only to themselves, which makes look-ups fast.
class Kernel:
    """A kernel: one export of the modules.

    Parameters
    ----------
    export : str
        Name of the export: operation and dtype.
    signature : str
        Letters of the arguments, without the workspace.
    workspace : bool, default False
        True if the first argument is the address of a workspace.
    in_memory : bool, default False
        True if the arguments are fields of a structure in linear memory. The structure's address is
        then the only argument of the export.
    """

    export: str
    signature: str
    workspace: bool = False
    in_memory: bool = False

    @property
    def operation(self) -> str:
        """Name of the operation, which is the name of the export without ``_f32``."""
        return self.export.removesuffix("_f32")


MATMUL = Kernel("matmul_f32", "ppppiiiiiiii", workspace=True)
MATMUL_I8 = Kernel("matmul_i8", "ppppppiiiiii", workspace=True)
VECADD = Kernel("vecadd_f32", "pppi")
SOFTMAX = Kernel("softmax_f32", "ppii")
SOFTMAX_PIECE = Kernel("softmax_piece_f32", "pppii")
LAYER_NORM = Kernel("layer_norm_f32", "ppppiif")
RMS_NORM = Kernel("rms_norm_f32", "pppiif")
NORM_PIECE = Kernel("norm_piece_f32", "pppppiifi")
GELU = Kernel("gelu_f32", "ppi")
GELU_TANH = Kernel("gelu_tanh_f32", "ppi")
EMBEDDING = Kernel("embedding_f32", "pppiii")
ROTARY_EMBEDDING = Kernel("rotary_embedding_f32", "ppppiiiiiii")
MEAN_POOL = Kernel("mean_pool_f32", "pppiii")
MEAN_POOL_PIECE = Kernel("mean_pool_piece_f32", "pppiiiii")
COSINE_TOP_K = Kernel("cosine_top_k_f32", "ppppiiiiiii", workspace=True)
ATTENTION = Kernel(
    "attention_f32", "p" * 11 + "i" * 30 + "u" * 6 + "fff", workspace=True, in_memory=True
)
ATTENTION_BACKWARD = Kernel(
    "attention_backward_f32",
    # The fields of the forward structure, followed by dout, the gradients, and their strides.
    ATTENTION.signature + "p" * 4 + "i" * 8,
    workspace=True,
    in_memory=True,
)
ATTENTION_MATERIALIZED = Kernel("attention_materialized_f32", "pppppiiiif", workspace=True)
INDEX_STORE = Kernel("index_store_f32", "p" * 8 + "i" * 5, workspace=True, in_memory=True)
INDEX_SCORE = Kernel("index_score_f32", "p" * 4 + "i" * 6, workspace=True, in_memory=True)
FLAT_SEARCH = Kernel("flat_search_f32", "p" * 8 + "i" * 6, workspace=True, in_memory=True)
FLAT_SEARCH_I8 = Kernel("flat_search_i8", "p" * 8 + "i" * 6, workspace=True, in_memory=True)
HNSW_INSERT = Kernel("hnsw_insert_f32", "p" * 13 + "i" * 7, workspace=True, in_memory=True)
HNSW_SEARCH = Kernel("hnsw_search_f32", "p" * 13 + "i" * 7, workspace=True, in_memory=True)
HNSW_REPAIR = Kernel("hnsw_repair_f32", "p" * 13 + "i" * 7, workspace=True, in_memory=True)
LORA_APPLY = Kernel("lora_apply_f32", "pppi")
LORA_UPDATE = Kernel("lora_update_f32", "pppff", workspace=True)
LORA_FISHER = Kernel("lora_fisher_f32", "pppf", workspace=True)

KERNELS = (
    MATMUL,
    MATMUL_I8,
    VECADD,
    SOFTMAX,
    SOFTMAX_PIECE,
    LAYER_NORM,
    RMS_NORM,
    NORM_PIECE,
    GELU,
    GELU_TANH,
    EMBEDDING,
    ROTARY_EMBEDDING,
    MEAN_POOL,
    MEAN_POOL_PIECE,
    COSINE_TOP_K,
    ATTENTION,
    ATTENTION_BACKWARD,
    ATTENTION_MATERIALIZED,
    INDEX_STORE,
    INDEX_SCORE,
    FLAT_SEARCH,
    FLAT_SEARCH_I8,
    HNSW_INSERT,
    HNSW_SEARCH,
    HNSW_REPAIR,
    LORA_APPLY,
    LORA_UPDATE,
    LORA_FISHER,
)

# Limits and codes, the same as in wasm/abi.h; a test compares the two.
WORKSPACE_BYTES = 1 << 20
ATTENTION_MAX_DIM = 256
ATTENTION_KEY_BLOCK = 64
ATTENTION_KEY_RUN = 512
ATTENTION_PANEL = 16
ATTENTION_OPEN = 1 << 29
ATTENTION_QUERY_BLOCK = 128
MATMUL_I8_MAX_DEPTH = 1 << 16
TOP_K_MAX_DIM = 16384
INDEX_MAX_DIM = 16384
INDEX_MAX_EF = 4096
INDEX_MAX_LINKS = 256
LORA_MAX_RANK = 64
LORA_MAX_DIM = 4096
LORA_MAX_CANDIDATES = 1024

STATUS_OK = 0
STATUS_BAD_ARGUMENT = 1
STATUS_BAD_INDEX = 2

Metric: TypeAlias = Literal["cosine", "dot", "l2"]
METRICS: dict[Metric, int] = {"cosine": 0, "dot": 1, "l2": 2}
MASK_NONE, MASK_BOOLEAN, MASK_ADDITIVE = 0, 1, 2
STORED_ROWS, STORED_HALVES, STORED_PANELS, STORED_INT8 = 0, 1, 2, 3
# Passes over a row that is too long for one call, in order.
SOFTMAX_PASSES, LAYER_NORM_PASSES, RMS_NORM_PASSES = (0, 1, 2), (0, 1, 2), (1, 3)
MEAN_POOL_CLEAR, MEAN_POOL_ADD, MEAN_POOL_MEAN, MEAN_POOL_NORMALIZE = 0, 1, 2, 3
ACTIVATION_NONE, ACTIVATION_GELU, ACTIVATION_GELU_TANH = 0, 1, 2
LORA_REGRESSION, LORA_CONTRASTIVE, LORA_FEEDBACK = 0, 1, 2
