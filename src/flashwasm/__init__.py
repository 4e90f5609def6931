"""Exact attention and vector kernels in WebAssembly SIMD, called from Python with NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.lazy_imports import attach

__version__ = "0.1.0"

# The public names that each module defines. A name is imported when it is first used, which keeps
# `import flashwasm` fast.
_HOMES = {
    "flashwasm.adapt": ["LoRAAdapter", "Whitening"],
    "flashwasm.flash_attention.backward": ["attention_backward"],
    "flashwasm.flash_attention.kv_cache": ["KVCache"],
    "flashwasm.flash_attention.attention": ["attention"],
    "flashwasm.flash_attention.merging": ["merge_attention"],
    "flashwasm.flash_attention.options": ["AttentionOptions"],
    "flashwasm.flash_attention.varlen": ["attention_varlen"],
    "flashwasm.flash_attention.scores": ["attention_scores"],
    "flashwasm.capability_probe": ["Capabilities", "capabilities"],
    "flashwasm.encoder": ["SentenceEncoder"],
    "flashwasm.errors": [
        "Cancelled",
        "CapabilityError",
        "ClosedError",
        "CorruptFileError",
        "CorruptIndexError",
        "DTypeError",
        "DeviceError",
        "DeadlineExceeded",
        "FlashWasmError",
        "IndexRangeError",
        "KernelTrap",
        "OutOfMemoryError",
        "ShapeError",
    ],
    "flashwasm.ops": [
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
    ],
    "flashwasm.runtime.default_runtime": ["default_runtime"],
    "flashwasm.runtime.runtime": ["Runtime"],
    "flashwasm.search": ["FlatIndex", "HNSWIndex", "SearchReport", "ShardedIndex"],
    "flashwasm.runtime.stats": ["Stats"],
}
if TYPE_CHECKING:
    from flashwasm import distributed as distributed
    from flashwasm import qe as qe
    from flashwasm.adapt import LoRAAdapter as LoRAAdapter
    from flashwasm.adapt import Whitening as Whitening
    from flashwasm.capability_probe import Capabilities as Capabilities
    from flashwasm.capability_probe import capabilities as capabilities
    from flashwasm.encoder import SentenceEncoder as SentenceEncoder
    from flashwasm.errors import Cancelled as Cancelled
    from flashwasm.errors import CapabilityError as CapabilityError
    from flashwasm.errors import ClosedError as ClosedError
    from flashwasm.errors import CorruptFileError as CorruptFileError
    from flashwasm.errors import CorruptIndexError as CorruptIndexError
    from flashwasm.errors import DeadlineExceeded as DeadlineExceeded
    from flashwasm.errors import DeviceError as DeviceError
    from flashwasm.errors import DTypeError as DTypeError
    from flashwasm.errors import FlashWasmError as FlashWasmError
    from flashwasm.errors import IndexRangeError as IndexRangeError
    from flashwasm.errors import KernelTrap as KernelTrap
    from flashwasm.errors import OutOfMemoryError as OutOfMemoryError
    from flashwasm.errors import ShapeError as ShapeError
    from flashwasm.flash_attention.attention import attention as attention
    from flashwasm.flash_attention.backward import attention_backward as attention_backward
    from flashwasm.flash_attention.kv_cache import KVCache as KVCache
    from flashwasm.flash_attention.merging import merge_attention as merge_attention
    from flashwasm.flash_attention.options import AttentionOptions as AttentionOptions
    from flashwasm.flash_attention.scores import attention_scores as attention_scores
    from flashwasm.flash_attention.varlen import attention_varlen as attention_varlen
    from flashwasm.ops import Int8Matrix as Int8Matrix
    from flashwasm.ops import cosine_top_k as cosine_top_k
    from flashwasm.ops import embedding as embedding
    from flashwasm.ops import gelu as gelu
    from flashwasm.ops import layer_norm as layer_norm
    from flashwasm.ops import matmul as matmul
    from flashwasm.ops import matmul_i8 as matmul_i8
    from flashwasm.ops import mean_pool as mean_pool
    from flashwasm.ops import rms_norm as rms_norm
    from flashwasm.ops import rotary_embedding as rotary_embedding
    from flashwasm.ops import softmax as softmax
    from flashwasm.ops import vecadd as vecadd
    from flashwasm.runtime.default_runtime import default_runtime as default_runtime
    from flashwasm.runtime.runtime import Runtime as Runtime
    from flashwasm.runtime.stats import Stats as Stats
    from flashwasm.search import FlatIndex as FlatIndex
    from flashwasm.search import HNSWIndex as HNSWIndex
    from flashwasm.search import SearchReport as SearchReport
    from flashwasm.search import ShardedIndex as ShardedIndex
else:
    # This branch is hidden from type checkers: one that saw `__getattr__` would accept every name.
    __getattr__, __dir__, _NAMES = attach(__name__, _HOMES, packages=["distributed", "qe"])
    __all__ = [  # noqa: PLE0604 - the names stand once, in the table above.
        "__version__",
        *_NAMES,
    ]
