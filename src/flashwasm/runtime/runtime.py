"""Runtimes: sandboxes, each with its own linear memory and threads."""

from __future__ import annotations

import threading
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np

from flashwasm.backends.registry import SANDBOX, checked_name
from flashwasm.errors import ClosedError
from flashwasm.host.engine import checked_variant
from flashwasm.host.instance import INSTANCE_BYTES, Instance
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory, check_addresses, most_pages
from flashwasm.host.workers import MOST_THREADS, Workers, available_cpus
from flashwasm.keyword_hints import RUNTIME, knows_peers
from flashwasm.runtime.arena import Arena, room
from flashwasm.runtime.copies import copy_in_pieces
from flashwasm.runtime.deadline import checker
from flashwasm.runtime.not_copied import NotCopied
from flashwasm.runtime.stats import Stats
from flashwasm.summaries import summary
from flashwasm.validation import as_array, flag, lengths, plain_dtype, positive_int, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from flashwasm.backends.registry import BackendName
    from flashwasm.host.modules import Variant

    Array = NDArray[Any]
    # Type of an array's elements, which a type checker infers from the requested dtype.
    Scalar = TypeVar("Scalar", bound=np.generic)
    DType: TypeAlias = type[Scalar] | np.dtype[Scalar]

# First address above the modules' stack and data; see the memory map in docs/abi.md.
_FIRST_FREE = 2 * PAGE_BYTES


class Runtime(NotCopied):
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

    @overload
    def empty(self, shape: int | Sequence[int]) -> NDArray[np.float32]: ...

    @overload
    def empty(self, shape: int | Sequence[int], dtype: DType[Scalar]) -> NDArray[Scalar]: ...

    @overload
    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> Array: ...

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Return a new, uninitialised array in linear memory (a resident array).

        Operations read and write such arrays without a copy. The memory is released when the array
        and all its views are deleted. They stay readable after ``close``.

        Parameters
        ----------
        shape : int or sequence of int
            Shape of the array.
        dtype : dtype, default float32
            Dtype of the array. It must not contain Python objects.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, ClosedError
        """
        kind, sizes = plain_dtype(dtype, "dtype"), lengths(shape, "shape")
        with self.lock:
            self.check_open()
            return self.arena.array(sizes, kind)[0]

    @overload
    def asarray(self, a: NDArray[Scalar], dtype: None = None) -> NDArray[Scalar]: ...

    @overload
    def asarray(self, a: ArrayLike, dtype: DType[Scalar]) -> NDArray[Scalar]: ...

    @overload
    def asarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> Array: ...

    def asarray(self, a: ArrayLike, dtype: DTypeLike | None = None) -> Array:
        """Return ``a`` if it already lies in linear memory, else a copy of it there.

        Parameters
        ----------
        a : array_like
            Array to copy.
        dtype : dtype, optional
            Dtype of the result. None means the dtype of ``a``.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        self.check_open()
        source = as_array(a, "a")
        kind = plain_dtype(source.dtype, "a") if dtype is None else plain_dtype(dtype, "dtype")
        if source.dtype == kind and self.holds(source):
            return source
        check = checker(self, None, "asarray")
        copy = self.empty(source.shape, kind)
        self.copy(copy, source, check)
        return copy

    def holds(self, x: Array) -> bool:
        """Return True if an array lies in this runtime's linear memory.

        Parameters
        ----------
        x : numpy.ndarray
            The array.
        """
        return isinstance(x, np.ndarray) and self.arena.offset_of(x) is not None

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

        Arrays from ``empty`` and ``asarray`` stay readable, and keep linear memory until deleted.

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

    def copy(self, target: Array, source: Array, between: Callable[[], None] | None = None) -> None:
        """Copy source to target, between linear memory and NumPy's memory, and record the time.

        Parameters
        ----------
        target, source : numpy.ndarray
            As in `copy_in_pieces`.
        between : callable, optional
            As in `copy_in_pieces`.
        """
        start = perf_counter()
        try:
            copy_in_pieces(target, source, between)
        finally:
            self.copy_seconds += perf_counter() - start

    def check_open(self) -> None:
        """Raise ClosedError if the runtime is closed."""
        if self.closed_because:
            raise ClosedError(self.closed_because)

    def close_after_fork(self) -> None:
        """Close the runtime in a forked child process, which has none of its threads."""
        # A thread of the parent may have held the old lock at the time of the fork.
        self.lock = threading.RLock()
        self.closed_because = "the runtime belongs to the parent process that was forked"
        self._finalizer.detach()


all_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
