"""The common part of all workloads: settings, runtimes, metrics and `dispose`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flashwasm.errors import ClosedError, DTypeError
from flashwasm.qe.workloads.chunked_attention import ChunkedAttention
from flashwasm.qe.workloads.configuration import (
    WORKLOADS,
    FlashAttentionConfig,
    WorkloadName,
)
from flashwasm.qe.workloads.metrics import Metrics, Recorder
from flashwasm.qe.workloads.setting_changes import check_runnable, merged
from flashwasm.runtime.runtime import Runtime
from flashwasm.summaries import summary
from flashwasm.validation import choice

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Workload"]


class Workload:
    """Settings, sandbox and measurements of one workload.

    Parameters
    ----------
    workload : str
        Name of the workload.
    config : FlashAttentionConfig
        Its settings.
    """

    def __init__(self, workload: WorkloadName, config: FlashAttentionConfig) -> None:
        if not isinstance(config, FlashAttentionConfig):
            raise DTypeError(
                f"config: expected a FlashAttentionConfig, got {type(config).__name__}"
            )
        check_runnable(config)
        self.workload: WorkloadName = choice(workload, "workload", WORKLOADS)
        self._config = config
        self._runtime = Runtime(backend=config.backend)
        self._chunked = ChunkedAttention(self._runtime)
        self._recorder = Recorder()

    def get_metrics(self) -> Metrics:
        """Return measurements since the start or the last reset."""
        self._check_open()
        return self._recorder.metrics(self._chunked.runtimes, self._config.target_speedup.min)

    def reset_metrics(self) -> None:
        """Reset the measurements, except the peak of memory."""
        self._check_open()
        self._recorder.reset(self._chunked.runtimes)

    def get_config(self) -> FlashAttentionConfig:
        """Return the settings."""
        return self._config

    def update_config(self, updates: Mapping[str, Any]) -> FlashAttentionConfig:
        """Replace some settings and return all of them. After an error, the old settings stay.

        Parameters
        ----------
        updates : mapping
            Fields by name. ``blocks`` may be a mapping of some of its own fields.

        Returns
        -------
        FlashAttentionConfig

        Raises
        ------
        ShapeError, DTypeError, CapabilityError
            As in `create_qe_flash_attention`.
        ClosedError
            After `dispose`.
        """
        self._check_open()
        config = merged(self._config, updates, "updates")
        check_runnable(config)
        self._config = config
        self._chunked.use_backend(config.backend)
        return config

    def dispose(self) -> None:
        """Close the sandbox. Every later use raises ClosedError, except a second `dispose`."""
        self._chunked.close()

    def __repr__(self) -> str:
        name, strategy = repr(self.workload), self._config.strategy
        return summary(self, name, strategy=strategy, closed=self._runtime.closed)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def _check_open(self) -> None:
        """Raise ClosedError after `dispose`."""
        if self._runtime.closed:
            raise ClosedError(f"the {self.workload} workload was disposed of")
