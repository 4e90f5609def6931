"""`create_qe_flash_attention`: the object that runs one workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashwasm.qe.workloads.attention import QEFlashAttention
from flashwasm.qe.workloads.configuration import FlashAttentionConfig, get_qe_flash_attention_config

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["create_qe_flash_attention"]


def create_qe_flash_attention(
    workload: str, config: FlashAttentionConfig | Mapping[str, Any] | None = None
) -> QEFlashAttention:
    """Make the object that runs one workload.

    Parameters
    ----------
    workload : str
        "test-similarity", "code-embedding", "defect-matching", "coverage-analysis" or
        "pattern-adaptation".
    config : FlashAttentionConfig or mapping, optional
        Settings, or some of them to replace in the workload's own.

    Examples
    --------
    >>> with create_qe_flash_attention("test-similarity") as attention:
    ...     attention.compute_test_similarity([1.0, 0.0], [[0.0, 2.0], [3.0, 0.0]], 1)[0].index
    1
    """
    if isinstance(config, FlashAttentionConfig):
        get_qe_flash_attention_config(workload)  # Raises where there is no such workload.
        return QEFlashAttention(workload, config)
    return QEFlashAttention(workload, get_qe_flash_attention_config(workload, config))
