"""What each quality-engineering workload runs with, and the specification's targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from flashwasm.errors import CapabilityError, DTypeError, ShapeError
from flashwasm.validation import choice, finite_float, positive_int

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
    "get_qe_flash_attention_config",
]

BACKENDS = ("wasm-simd", "native", "gpu", "hybrid")
STRATEGIES = ("memory-efficient", "latency-optimized", "throughput-optimized")


class TargetSpeedup(NamedTuple):
    """Times faster than the materialised baseline: the least that is a success, and the hope."""

    min: float
    max: float


_CLAIMED = TargetSpeedup(2.49, 7.47)


@dataclass(frozen=True)
class BlockConfig:
    """How attention is cut into pieces. No size changes the result beyond float32 rounding.

    Parameters
    ----------
    heads_per_block : int
        Query heads of one piece; rounded up to whole groups that share a key head.
    query_chunk_size, kv_chunk_size : int
        Queries of one piece, and keys that it sees at a time.
    matmul_block_size : int
        Rows of one matrix product, where scores are materialised.
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
        Where to compute.
    strategy : {"memory-efficient", "latency-optimized", "throughput-optimized"}
        Operands piece by piece, so that little linear memory is held; or all threads on one piece;
        or a thread a piece, batch entries and heads beside each other.
    blocks : BlockConfig
        How large a piece is.
    dropout_rate : float
        Probability of each weight to be dropped, from 0 up to but not 1.
    use_causal_mask : bool
        Whether query i sees keys up to i + Lk - Lq only.
    fused_softmax : bool
        Whether the softmax is taken while keys are read. False stores the scores of a piece.
    enable_checkpointing : bool
        Whether a backward pass recomputes the scores.
    target_speedup : (float, float)
        Speed-up over the materialised baseline that counts as met, and the highest hoped for.
    """

    backend: str = "wasm-simd"
    strategy: str = "latency-optimized"
    blocks: BlockConfig = field(default_factory=lambda: BLOCK_SIZE_PRESETS[512])
    dropout_rate: float = 0.0
    use_causal_mask: bool = False
    fused_softmax: bool = True
    enable_checkpointing: bool = False
    target_speedup: TargetSpeedup = _CLAIMED

    def __post_init__(self) -> None:
        choice(self.backend, "backend", BACKENDS)
        choice(self.strategy, "strategy", STRATEGIES)
        if not isinstance(self.blocks, BlockConfig):
            raise DTypeError(f"blocks: expected a BlockConfig, got {type(self.blocks).__name__}")
        if not 0 <= finite_float(self.dropout_rate, "dropout_rate") < 1:
            raise ShapeError(f"dropout_rate: expected 0 <= rate < 1, got {self.dropout_rate}")
        for name in ("use_causal_mask", "fused_softmax", "enable_checkpointing"):
            if not isinstance(getattr(self, name), bool):
                raise DTypeError(f"{name}: expected a bool, got {getattr(self, name)!r}")
        object.__setattr__(self, "target_speedup", _speedup(self.target_speedup))


def _speedup(value: Any) -> TargetSpeedup:
    """Return (min, max) given as a pair or by name."""
    pair = (value.get("min"), value.get("max")) if isinstance(value, Mapping) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise DTypeError(f"target_speedup: expected (min, max), got {value!r}")
    low, high = (finite_float(number, "target_speedup") for number in pair)
    if not 0 < low <= high:
        raise ShapeError(f"target_speedup: expected 0 < min <= max, got {value!r}")
    return TargetSpeedup(low, high)


class PerformanceTarget(NamedTuple):
    """What the specification claims: milliseconds and megabytes before, and aimed at."""

    baseline_latency_ms: float
    latency_ms: float
    baseline_memory_mb: float
    memory_mb: float


class SonaConfig(NamedTuple):
    """Adaptation: whether, the adapter's rank, milliseconds a step, and embeddings kept."""

    enabled: bool
    rank: int
    target_ms: float
    cached_patterns: int


# By the longest sequence that each is for.
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
    strategy: str, blocks: tuple[int, int, int, int], speedup: tuple[float, float]
) -> FlashAttentionConfig:
    return FlashAttentionConfig(
        strategy=strategy, blocks=BlockConfig(*blocks), target_speedup=TargetSpeedup(*speedup)
    )


QE_FLASH_ATTENTION_CONFIG: Mapping[str, FlashAttentionConfig] = MappingProxyType(
    {
        "test-similarity": _settings("latency-optimized", (8, 512, 512, 128), _CLAIMED),
        "code-embedding": _settings("throughput-optimized", (4, 1024, 1024, 256), _CLAIMED),
        "defect-matching": _settings("latency-optimized", (12, 256, 256, 64), _CLAIMED),
        "coverage-analysis": _settings("memory-efficient", (8, 256, 512, 128), (50, 100)),
        "pattern-adaptation": _settings("latency-optimized", (4, 128, 128, 32), (10, 40)),
    }
)
WORKLOADS = tuple(QE_FLASH_ATTENTION_CONFIG)

QE_PERFORMANCE_TARGETS: Mapping[str, PerformanceTarget] = MappingProxyType(
    {
        "test-similarity": PerformanceTarget(50, 15, 200, 80),
        "code-embedding": PerformanceTarget(50, 15, 200, 80),
        "defect-matching": PerformanceTarget(20, 5, 150, 50),
        "coverage-analysis": PerformanceTarget(100, 1, 100, 30),
        "pattern-adaptation": PerformanceTarget(2, 0.05, 50, 20),
    }
)

QE_SONA_CONFIG: Mapping[str, SonaConfig] = MappingProxyType(
    {
        "test-similarity": SonaConfig(True, 4, 0.05, 1000),  # noqa: FBT003 - a row of a table.
        "code-embedding": SonaConfig(True, 2, 0.03, 5000),  # noqa: FBT003
        "defect-matching": SonaConfig(True, 8, 0.05, 2000),  # noqa: FBT003
        "coverage-analysis": SonaConfig(False, 2, 0.01, 100),  # noqa: FBT003
        "pattern-adaptation": SonaConfig(True, 2, 0.05, 10000),  # noqa: FBT003
    }
)


def get_optimal_block_config(seq_len: int) -> BlockConfig:
    """Return the preset for sequences of a length: the first as long, else the longest.

    Parameters
    ----------
    seq_len : int
        Tokens.

    Returns
    -------
    BlockConfig

    Examples
    --------
    >>> get_optimal_block_config(300).kv_chunk_size
    512
    """
    length = positive_int(seq_len, "seq_len")
    longest = max(BLOCK_SIZE_PRESETS)
    return BLOCK_SIZE_PRESETS[next((n for n in BLOCK_SIZE_PRESETS if n >= length), longest)]


def get_qe_flash_attention_config(
    workload: str, overrides: Mapping[str, Any] | None = None
) -> FlashAttentionConfig:
    """Return a workload's settings, with some of them replaced.

    Parameters
    ----------
    workload : str
        One of `WORKLOADS`.
    overrides : mapping, optional
        Fields by name; ``blocks`` may hold some of its own fields only.

    Returns
    -------
    FlashAttentionConfig

    Raises
    ------
    ShapeError, DTypeError
        If a name is unknown or a value is not what the field takes.

    Examples
    --------
    >>> config = get_qe_flash_attention_config("test-similarity", {"blocks": {"kv_chunk_size": 64}})
    >>> config.blocks
    BlockConfig(heads_per_block=8, query_chunk_size=512, kv_chunk_size=64, matmul_block_size=128)
    """
    choice(workload, "workload", WORKLOADS)
    return merged(QE_FLASH_ATTENTION_CONFIG[workload], overrides or {})


def merged(config: FlashAttentionConfig, overrides: Mapping[str, Any]) -> FlashAttentionConfig:
    """Return settings with some replaced; ``blocks`` is merged field by field."""
    changes = dict(_known(overrides, "overrides", config))
    blocks = changes.get("blocks")
    if blocks is not None and not isinstance(blocks, BlockConfig):
        changes["blocks"] = replace(config.blocks, **_known(blocks, "blocks", config.blocks))
    return replace(config, **changes)


def _known(changes: Any, name: str, target: Any) -> Mapping[str, Any]:
    """Check that a mapping names fields of a dataclass only."""
    if not isinstance(changes, Mapping):
        raise DTypeError(f"{name}: expected a mapping of fields, got {type(changes).__name__}")
    names = [f.name for f in fields(target)]
    for key in changes:
        if key not in names:
            raise ShapeError(f"{name}: no field {key!r}; expected {', '.join(names)}")
    return changes


def check_runnable(config: FlashAttentionConfig) -> None:
    """Raise CapabilityError where settings are valid but nothing can run them yet."""
    if config.backend != "wasm-simd":
        raise CapabilityError(
            f"backend {config.backend!r} does not exist yet; 'wasm-simd' runs everywhere"
        )
    if config.enable_checkpointing:
        raise CapabilityError(
            "enable_checkpointing: these workloads have no backward pass that could recompute "
            "its scores; leave it False"
        )
    if config.dropout_rate and not config.fused_softmax:
        raise CapabilityError(
            "dropout_rate: dropout is part of the fused kernel; set fused_softmax to True"
        )
