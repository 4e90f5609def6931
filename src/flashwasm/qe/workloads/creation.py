"""Creation of a `QEFlashAttention` for a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashwasm.qe.workloads.configuration import FlashAttentionConfig
from flashwasm.qe.workloads.qe_flash_attention import QEFlashAttention
from flashwasm.qe.workloads.setting_changes import get_qe_flash_attention_config, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flashwasm.qe.workloads.configuration import WorkloadName

__all__ = ["create_qe_flash_attention"]


def create_qe_flash_attention(
    workload: WorkloadName, config: FlashAttentionConfig | Mapping[str, Any] | None = None
) -> QEFlashAttention:
    """Create the `QEFlashAttention` that runs one workload.

    Parameters
    ----------
    workload : str
        "test-similarity", "code-embedding", "defect-matching", "coverage-analysis" or
        "pattern-adaptation".
    config : FlashAttentionConfig or mapping, optional
        All settings, or a mapping of the settings that differ from the workload's defaults.

    Returns
    -------
    QEFlashAttention

    Raises
    ------
    ShapeError, DTypeError
        If there is no such workload or setting, or a value is not valid for its setting.
    CapabilityError
        If the settings ask for something that is not implemented.

    Examples
    --------
    >>> with create_qe_flash_attention("test-similarity") as attention:
    ...     attention.compute_test_similarity([1.0, 0.0], [[0.0, 2.0], [3.0, 0.0]], 1)[0].index
    1
    """
    if not isinstance(config, FlashAttentionConfig):
        settings = get_qe_flash_attention_config(workload)
        config = settings if config is None else merged(settings, config, "config")
    return QEFlashAttention(workload, config)
