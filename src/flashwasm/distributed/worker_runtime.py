"""The runtime of a worker process, which is created once and kept between calls."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flashwasm.errors import CapabilityError
from flashwasm.host.modules import module_sha256
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.runtime.locks import renewed_after_fork
from flashwasm.runtime.runtime import Runtime

if TYPE_CHECKING:
    from flashwasm.distributed.executors import Workers
    from flashwasm.host.modules import Variant

__all__ = ["WorkerSetup"]

# Runtimes of this process by their setup. A fork closes them, so a closed runtime is created again.
_runtimes: dict[WorkerSetup, Runtime] = {}
_lock = renewed_after_fork(sys.modules[__name__], threading.Lock)


@dataclass(frozen=True)
class WorkerSetup:
    """Properties of the runtime that computes a part, which determine the bits of the result.

    Parameters
    ----------
    threads : int
        Number of threads of the runtime.
    variant : str
        Variant of the kernels.
    digest : str
        SHA-256 of that variant's module.
    """

    threads: int
    variant: Variant
    digest: str

    @classmethod
    def of(cls, workers: Workers) -> WorkerSetup:
        """Return the setup with which workers get the same bits as this process."""
        variant = default_runtime().variant
        return cls(workers.threads, variant, module_sha256(variant))

    def runtime(self) -> Runtime:
        """Return this process's runtime with this setup. The first call creates it.

        Raises
        ------
        CapabilityError
            If this process has different kernels, or cannot run the variant.
        """
        if module_sha256(self.variant) != self.digest:
            raise CapabilityError(
                "a worker and the process that sends it work have different kernels; install the "
                "same release of flashwasm on all workers"
            )
        with _lock:
            known = _runtimes.get(self)
            if known is None or known.closed:
                known = _runtimes[self] = Runtime(self.threads, variant=self.variant)
            return known
