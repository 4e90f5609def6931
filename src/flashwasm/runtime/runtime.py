"""Runtimes: sandboxes, each with its own linear memory and threads."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal

from flashwasm.backends.registry import SANDBOX, checked_name
from flashwasm.host.engine import checked_variant
from flashwasm.host.instance import INSTANCE_BYTES, Instance
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory, check_addresses, most_pages
from flashwasm.host.workers import MOST_THREADS, Workers, available_cpus
from flashwasm.keyword_hints import RUNTIME, knows_peers
from flashwasm.runtime.arena import Arena, room
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.runtime.resident_arrays import ResidentArrays
from flashwasm.runtime.stats import Stats
from flashwasm.summaries import summary
from flashwasm.validation import flag, positive_int, seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.backends.registry import BackendName
    from flashwasm.host.modules import Variant

    Array = NDArray[Any]

# First address above the modules' stack and data; see the memory map in docs/abi.md.
_FIRST_FREE = 2 * PAGE_BYTES


class Runtime(ResidentArrays, NotCopied):
    """A WebAssembly sandbox that runs kernels, with its own memory (linear memory) and threads.

    Parameters
    ----------
    threads : int, optional
        Number of threads that run kernels, including the calling thread, at most 1024. None means
        the number of CPUs that this process may use.
    variant : {"auto", "relaxed", "simd128", "scalar"}, default "auto"
        Build of the kernels: "relaxed" has fused multiply-adds, "simd128" has plain 128-bit SIMD,
        and "scalar" has neither. "auto" means the first of these that the engine accepts.
    max_memory : int, optional
        Maximum size of linear memory in bytes. None means 4 GiB, the greatest possible size.
    timeout : float, optional
        Maximum duration of each call in seconds. None means no limit.
    backend : {"wasm-simd", "native", "gpu", "hybrid"}, default "wasm-simd"
        Default backend of the operations that accept ``backend=``. All other operations run in the
        sandbox.
    deterministic : bool, default False
        True to allow only backends that guarantee the same bits on every machine. Only the sandbox
        does.

    Raises
    ------
    CapabilityError
        If the engine does not accept the variant, if the backend cannot run here, or if the process
        cannot reserve 4 GiB of address space, which every linear memory requires.
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.
    OutOfMemoryError
        If ``max_memory`` is too small for the threads' stacks and workspaces.
    FlashWasmError
        If a file of the package is missing or damaged.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> with fw.Runtime(threads=1) as rt:
    ...     x = rt.asarray(np.ones(4, np.float32))
    ...     fw.vecadd(x, x, runtime=rt).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """

    @knows_peers(RUNTIME)
    def __init__(
        self,
        threads: int | None = None,
        variant: Literal["auto"] | Variant = "auto",
        max_memory: int | None = None,
        timeout: float | None = None,
        *,
        backend: BackendName = SANDBOX,
        deterministic: bool = False,
    ) -> None:
        self.deterministic = flag(deterministic, "deterministic")
        name = checked_name(backend, deterministic=self.deterministic)
        # The default backend of calls if it is not the sandbox, else None.
        self.other_backend: BackendName | None = None if name == SANDBOX else name
        count = min(available_cpus(), MOST_THREADS) if threads is None else threads
        self.threads = positive_int(count, "threads", MOST_THREADS)
        check_addresses()
        self.variant: Variant = checked_variant(variant)
        self.timeout = seconds(timeout, "timeout")
        limit = most_pages(max_memory, self.threads, _FIRST_FREE, room(INSTANCE_BYTES))
        memory = SharedMemory(_FIRST_FREE // PAGE_BYTES, limit)
        self.arena = Arena(memory, _FIRST_FREE)
        # Blocks that belong to the instances until the runtime is closed.
        own: list[tuple[int, int]] = []
        bases = [self.arena.allocate(INSTANCE_BYTES, own) for _ in range(self.threads)]
        self._workspace_bytes = self.arena.in_use
        self.arena.own += self._workspace_bytes
        self.arena.in_use = self.arena.peak = 0
        self.workers = Workers([Instance(self.variant, memory, b) for b in bases])
        self.kernel_calls = self.workers.first.calls
        self._finalizer = weakref.finalize(self, self.workers.stop)
        self._finalizer.atexit = False
        self.lock = threading.RLock()
        # Temporary blocks (offset, size) of each launch that is open or whose end was interrupted,
        # the outermost first. Only the thread that holds the lock may change this list.
        self.temporary: list[list[tuple[int, int]]] = []
        # Number of calls of `cancel`.
        self.cancellations = 0
        self.closed_because = ""
        self.calls = 0
        # Number of calls that each backend outside the sandbox has computed, by its name.
        self.backend_calls: dict[str, int] = {}
        self.kernel_seconds = 0.0
        self.copy_seconds = 0.0
        all_runtimes.add(self)

    def stats(self) -> Stats:
        """Return statistics of the runtime: its memory and its work.

        Returns
        -------
        Stats
        """
        self.check_open()
        self.arena.settle()
        return Stats(
            bytes_reserved=self.arena.reserved,
            bytes_in_use=self.arena.in_use,
            bytes_peak=self.arena.peak,
            bytes_workspace=self._workspace_bytes,
            calls=self.calls,
            backend_calls=dict(self.backend_calls),
            kernel_seconds=self.kernel_seconds,
            copy_seconds=self.copy_seconds,
        )

    def cancel(self) -> None:
        """End all calls that are running or waiting for the runtime. Call it from another thread.

        These calls raise `Cancelled` within milliseconds, after the kernel's current call or the
        current piece of a copy. Calls that begin later are not affected.
        """
        self.cancellations += 1

    def close(self, *, cancel: bool = False) -> None:
        """End the threads and release the sandbox. A second call does nothing.

        Arrays that were created in the runtime stay readable, and keep linear memory until deleted.

        Parameters
        ----------
        cancel : bool, default False
            True to end running calls, as `cancel` does. False waits for them.

        Raises
        ------
        DTypeError
            If ``cancel`` is neither True nor False.
        """
        if flag(cancel, "cancel"):
            self.cancel()
        with self.lock:
            if not self.closed_because:
                self.closed_because = "the runtime is closed"
                self._finalizer()
                self.workers = Workers([])
                self.kernel_calls = {}

    def __enter__(self) -> Runtime:
        self.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        held = {"threads": self.threads, "bytes_in_use": self.arena.in_use}
        return summary(self, variant=self.variant, **held, closed=self.closed)

    @property
    def backend(self) -> BackendName:
        """Name of the default backend of calls."""
        return self.other_backend or SANDBOX

    @property
    def closed(self) -> bool:
        """True if ``close`` was called, or if the runtime belongs to the parent of a fork."""
        return bool(self.closed_because)

    def close_after_fork(self) -> None:
        """Close the runtime in a forked child process, which has none of its threads."""
        # A thread of the parent may have held the old lock at the time of the fork.
        self.lock = threading.RLock()
        self.closed_because = "the runtime belongs to the parent process that was forked"
        self._finalizer.detach()


all_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
