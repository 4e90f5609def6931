"""Changes of a workload's settings, and a check that the settings are supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from flashwasm.backends.registry import checked_backend
from flashwasm.errors import CapabilityError, DTypeError, ShapeError
from flashwasm.qe.workloads.configuration import (
    QE_FLASH_ATTENTION_CONFIG,
    WORKLOADS,
    BlockConfig,
    FlashAttentionConfig,
)
from flashwasm.validation import choice

if TYPE_CHECKING:
    from flashwasm.qe.workloads.configuration import WorkloadName

__all__ = ["check_runnable", "get_qe_flash_attention_config", "merged"]


def get_qe_flash_attention_config(
    workload: WorkloadName, overrides: Mapping[str, Any] | None = None
) -> FlashAttentionConfig:
    """Return a workload's settings, with some of them replaced.

    Parameters
    ----------
    workload : str
        One of `WORKLOADS`.
    overrides : mapping, optional
        Fields by name. ``blocks`` may be a mapping of some of its own fields.

    Returns
    -------
    FlashAttentionConfig

    Raises
    ------
    ShapeError, DTypeError
        If a name is unknown, or a value is not valid for its field.

    Examples
    --------
    >>> config = get_qe_flash_attention_config("test-similarity", {"blocks": {"kv_chunk_size": 64}})
    >>> config.blocks
    BlockConfig(heads_per_block=8, query_chunk_size=512, kv_chunk_size=64, matmul_block_size=128)
    """
    choice(workload, "workload", WORKLOADS)
    return merged(
        QE_FLASH_ATTENTION_CONFIG[workload], {} if overrides is None else overrides, "overrides"
    )


def merged(
    config: FlashAttentionConfig, overrides: Mapping[str, Any], name: str
) -> FlashAttentionConfig:
    """Return settings with some of them replaced. ``blocks`` is merged field by field.

    ``name`` is the name of the argument, for error messages.
    """
    changes = dict(_known(overrides, name, config))
    blocks = changes.get("blocks")
    if blocks is not None and not isinstance(blocks, BlockConfig):
        changes["blocks"] = replace(config.blocks, **_known(blocks, "blocks", config.blocks))
    return replace(config, **changes)


def _known(changes: Any, name: str, target: Any) -> Mapping[str, Any]:
    """Return a mapping after a check that it names only fields of ``target``, a dataclass."""
    if not isinstance(changes, Mapping):
        raise DTypeError(f"{name}: expected a mapping of fields, got {type(changes).__name__}")
    names = [f.name for f in fields(target)]
    for key in changes:
        if key not in names:
            raise ShapeError(f"{name}: no field {key!r}; expected {', '.join(names)}")
    return changes


def check_runnable(config: FlashAttentionConfig) -> None:
    """Raise CapabilityError if valid settings are not supported, or not on this machine."""
    backend = checked_backend(config.backend, deterministic=False)
    if config.dropout_rate and backend and "dropout" not in backend.options("attention"):
        raise CapabilityError(
            f"dropout_rate: the backend {backend.name!r} has no dropout; 'wasm-simd' has"
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
