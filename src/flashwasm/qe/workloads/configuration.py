"""Settings and targets of the quality-engineering workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from flashwasm.backends.registry import BACKENDS, BackendName
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.validation import choice, finite_float, flag, positive_int

__all__ = [
    "BLOCK_SIZE_PRESETS",
    "QE_FLASH_ATTENTION_CONFIG",
    "QE_PERFORMANCE_TARGETS",
    "QE_SONA_CONFIG",
    "WORKLOADS",
    "BlockConfig",
    "FlashAttentionConfig",
    "PerformanceTarget",
    "SonaConfig",
    "TargetSpeedup",
    "get_optimal_block_config",
]

Strategy: TypeAlias = Literal["memory-efficient", "latency-optimized", "throughput-optimized"]
STRATEGIES = get_args(Strategy)
WorkloadName: TypeAlias = Literal[
    "test-similarity",
    "code-embedding",
    "defect-matching",
    "coverage-analysis",
    "pattern-adaptation",
]
WORKLOADS: tuple[WorkloadName, ...] = get_args(WorkloadName)


class TargetSpeedup(NamedTuple):
    """Range of speed-ups over attention that stores its scores.

    Attributes
    ----------
    min : float
        Speed-up that meets the target.
    max : float
        Upper end of the range.
    """

    min: float
    max: float


_CLAIMED = TargetSpeedup(2.49, 7.47)


@dataclass(frozen=True)
class BlockConfig:
    """Sizes of the pieces that attention is split into.

    No size changes the result by more than float32 rounding.

    Parameters
    ----------
    heads_per_block : int
        Number of query heads in one piece, rounded up to whole groups that share a key head.
    query_chunk_size, kv_chunk_size : int
        Number of queries in one piece, and number of keys in one kernel call.
    matmul_block_size : int
        Number of rows of one matrix product, if the scores are stored.

    Raises
    ------
    ShapeError, DTypeError
        If a size is not a positive integer.
    """

    heads_per_block: int
    query_chunk_size: int
    kv_chunk_size: int
    matmul_block_size: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            positive_int(value, f"blocks.{name}")


@dataclass(frozen=True)
class FlashAttentionConfig:
    """Settings of one workload.

    Parameters
    ----------
    backend : {"wasm-simd", "native", "gpu", "hybrid"}
        Name of the backend that computes attention, products and searches. Adaptation steps and
        graph searches always run in the sandbox.
    strategy : {"memory-efficient", "latency-optimized", "throughput-optimized"}
        "memory-efficient" copies the operands of one piece at a time, to use little linear memory.
        "latency-optimized" computes each piece with all threads. "throughput-optimized" computes
        several pieces in parallel, each with one thread.
    blocks : BlockConfig
        Sizes of a piece.
    dropout_rate : float
        Probability with which each weight is dropped, 0 <= rate < 1.
    use_causal_mask : bool
        True if query i attends only to keys up to i + Lk - Lq.
    fused_softmax : bool
        True to compute the softmax while keys are read, False to store the scores of a piece.
    enable_checkpointing : bool
        True if a backward pass must recompute the scores.
    target_speedup : (float, float)
        Range of speed-ups over attention with stored scores; the smaller one is the target.

    Raises
    ------
    ShapeError, DTypeError
        If a value is not valid for its field.
    """

    backend: BackendName = "wasm-simd"
    strategy: Strategy = "latency-optimized"
    blocks: BlockConfig = field(default_factory=lambda: BLOCK_SIZE_PRESETS[512])
    dropout_rate: float = 0.0
    use_causal_mask: bool = False
    fused_softmax: bool = True
    enable_checkpointing: bool = False
    target_speedup: TargetSpeedup = _CLAIMED

    def __post_init__(self) -> None:
        object.__setattr__(self, "backend", choice(self.backend, "backend", BACKENDS))
        object.__setattr__(self, "strategy", choice(self.strategy, "strategy", STRATEGIES))
        if not isinstance(self.blocks, BlockConfig):
            raise DTypeError(f"blocks: expected a BlockConfig, got {type(self.blocks).__name__}")
        if not 0 <= finite_float(self.dropout_rate, "dropout_rate") < 1:
            raise ShapeError(f"dropout_rate: expected 0 <= rate < 1, got {self.dropout_rate}")
        for name in ("use_causal_mask", "fused_softmax", "enable_checkpointing"):
            object.__setattr__(self, name, flag(getattr(self, name), name))
        object.__setattr__(self, "target_speedup", _speedup(self.target_speedup))


def _speedup(value: Any) -> TargetSpeedup:
    """Return (min, max) from a pair or from a mapping with these keys."""
    pair = (value.get("min"), value.get("max")) if isinstance(value, Mapping) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DTypeError(f"target_speedup: expected (min, max), got {value!r}")
    low, high = (finite_float(number, "target_speedup") for number in pair)
    if not 0 < low <= high:
        raise ShapeError(f"target_speedup: expected 0 < min <= max, got {value!r}")
    return TargetSpeedup(low, high)


class PerformanceTarget(NamedTuple):
    """Targets of one workload, and the figures that they improve on.

    Attributes
    ----------
    baseline_latency_ms, latency_ms : float
        Milliseconds of one call: the assumed baseline, and the target.
    baseline_memory_mb, memory_mb : float
        Megabytes of memory: the assumed baseline, and the target.
    """

    baseline_latency_ms: float
    latency_ms: float
    baseline_memory_mb: float
    memory_mb: float


class SonaConfig(NamedTuple):
    """Settings of adaptation.

    Attributes
    ----------
    enabled : bool
        True to allow calls of `adapt_pattern`.
    rank : int
        Rank of the adapter.
    target_ms : float
        Target for the milliseconds of a step.
    cached_patterns : int
        Maximum number of embeddings and patterns in the cache.
    """

    enabled: bool
    rank: int
    target_ms: float
    cached_patterns: int


# The key is the maximum length of the sequences for which a preset is meant.
BLOCK_SIZE_PRESETS: Mapping[int, BlockConfig] = MappingProxyType(
    {
        128: BlockConfig(4, 128, 128, 32),
        256: BlockConfig(8, 256, 256, 64),
        512: BlockConfig(8, 512, 512, 128),
        1024: BlockConfig(4, 1024, 1024, 256),
        2048: BlockConfig(4, 1024, 2048, 256),
        4096: BlockConfig(2, 1024, 4096, 512),
    }
)


def _settings(
    strategy: Strategy, blocks: tuple[int, int, int, int], speedup: tuple[float, float]
) -> FlashAttentionConfig:
    """Return the settings of one row of the table below."""
    return FlashAttentionConfig(
        strategy=strategy, blocks=BlockConfig(*blocks), target_speedup=TargetSpeedup(*speedup)
    )


QE_FLASH_ATTENTION_CONFIG: Mapping[WorkloadName, FlashAttentionConfig] = MappingProxyType(
    {
        "test-similarity": _settings("latency-optimized", (8, 512, 512, 128), _CLAIMED),
        "code-embedding": _settings("throughput-optimized", (4, 1024, 1024, 256), _CLAIMED),
        "defect-matching": _settings("latency-optimized", (12, 256, 256, 64), _CLAIMED),
        "coverage-analysis": _settings("memory-efficient", (8, 256, 512, 128), (50, 100)),
        "pattern-adaptation": _settings("latency-optimized", (4, 128, 128, 32), (10, 40)),
    }
)

QE_PERFORMANCE_TARGETS: Mapping[WorkloadName, PerformanceTarget] = MappingProxyType(
    {
        "test-similarity": PerformanceTarget(50, 15, 200, 80),
        "code-embedding": PerformanceTarget(50, 15, 200, 80),
        "defect-matching": PerformanceTarget(20, 5, 150, 50),
        "coverage-analysis": PerformanceTarget(100, 1, 100, 30),
        "pattern-adaptation": PerformanceTarget(2, 0.05, 50, 20),
    }
)

QE_SONA_CONFIG: Mapping[WorkloadName, SonaConfig] = MappingProxyType(
    {
        "test-similarity": SonaConfig(enabled=True, rank=4, target_ms=0.05, cached_patterns=1000),
        "code-embedding": SonaConfig(enabled=True, rank=2, target_ms=0.03, cached_patterns=5000),
        "defect-matching": SonaConfig(enabled=True, rank=8, target_ms=0.05, cached_patterns=2000),
        "coverage-analysis": SonaConfig(enabled=False, rank=2, target_ms=0.01, cached_patterns=100),
        "pattern-adaptation": SonaConfig(
            enabled=True, rank=2, target_ms=0.05, cached_patterns=10000
        ),
    }
)


def get_optimal_block_config(seq_len: int) -> BlockConfig:
    """Return the smallest preset that covers a sequence length, or else the largest preset.

    Parameters
    ----------
    seq_len : int
        Length of a sequence in tokens.

    Returns
    -------
    BlockConfig

    Raises
    ------
    ShapeError, DTypeError
        If the length is not a positive integer.

    Examples
    --------
    >>> get_optimal_block_config(300).kv_chunk_size
    512
    """
    length = positive_int(seq_len, "seq_len")
    longest = max(BLOCK_SIZE_PRESETS)
    return BLOCK_SIZE_PRESETS[next((n for n in BLOCK_SIZE_PRESETS if n >= length), longest)]
