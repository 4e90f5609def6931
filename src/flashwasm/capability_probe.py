"""The capabilities of this host, determined by querying the engine and running kernels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.backends.hybrid.chooser import known_timings
from flashwasm.backends.report import backend_statuses
from flashwasm.flash_attention.attention import attention
from flashwasm.host.engine import best_variant, validates, wasmtime_version
from flashwasm.host.modules import module_sha256
from flashwasm.host.shared_memory import MAX_PAGES, PAGE_BYTES
from flashwasm.host.workers import available_cpus
from flashwasm.html_tables import html_table
from flashwasm.kernel_table import KERNELS
from flashwasm.ops import cosine_top_k, layer_norm, matmul, softmax
from flashwasm.runtime.runtime import Runtime
from flashwasm.validation import flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flashwasm.backends.hybrid.timings import Seconds
    from flashwasm.backends.report import BackendStatus
    from flashwasm.host.modules import Variant


@dataclass(frozen=True)
class Capabilities:
    """Capabilities of the sandbox on this host.

    Attributes
    ----------
    supported : bool
        True if the engine accepts the module of the variant "simd128".
    simd128, relaxed_simd : bool
        True if the engine accepts the module of the variant "simd128", or of the variant "relaxed".
    fused_multiply_add : bool
        True if the variant rounds a multiply-add once. flashwasm computes one to find out.
    threads : int
        Number of CPUs that this process may use, which is the default runtime's number of threads.
    memory_limit : int
        Maximum size of a linear memory in bytes.
    variant : str
        Variant that the default runtime uses.
    operations : tuple of str
        Names of the kernels.
    wasmtime_version : str
        Version of the engine.
    module_sha256 : str
        SHA-256 of the variant's module.
    measured_speedup : float or None
        Time of a 256 x 256 x 256 matmul in the scalar variant, divided by its time in ``variant``.
        Both run on one thread, in turn, and the best time of each is used. None if it was not
        measured.
    """

    supported: bool
    simd128: bool
    relaxed_simd: bool
    fused_multiply_add: bool
    threads: int
    memory_limit: int
    variant: Variant
    operations: tuple[str, ...]
    wasmtime_version: str
    module_sha256: str
    measured_speedup: float | None

    _repr_html_ = html_table

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


def capabilities(*, measure: bool = False) -> Capabilities:
    """Determine the capabilities of the sandbox on this host.

    Parameters
    ----------
    measure : bool, default False
        True to measure the speedup of the variant over the scalar variant, which takes about a
        second.

    Returns
    -------
    Capabilities

    Raises
    ------
    DTypeError
        If ``measure`` is neither True nor False.

    Examples
    --------
    >>> import flashwasm as fw
    >>> fw.capabilities().supported
    True
    """
    variant = best_variant()
    return Capabilities(
        supported=validates("simd128"),
        simd128=validates("simd128"),
        relaxed_simd=validates("relaxed"),
        fused_multiply_add=_fuses(variant),
        threads=available_cpus(),
        memory_limit=MAX_PAGES * PAGE_BYTES,
        variant=variant,
        operations=tuple(kernel.operation for kernel in KERNELS),
        wasmtime_version=wasmtime_version(),
        module_sha256=module_sha256(variant),
        measured_speedup=_measured_speedup(variant) if flag(measure, "measure") else None,
    )


def _fuses(variant: Variant) -> bool:
    """Return True if a variant rounds a multiply-add once.

    The matrix product below is (1 + e)(1 - e) - 1, which is -e^2. If the variant rounds the product
    before it subtracts, the product is exactly 1 and the result is 0.
    """
    e = 2.0**-13
    row, column = np.array([[-1, 1 + e]], np.float32), np.array([[1], [1 - e]], np.float32)
    with Runtime(threads=1, variant=variant) as rt:
        result = matmul(row, column, runtime=rt)
    return float(result[0, 0]) != 0.0


def _measured_speedup(variant: Variant) -> float:
    """Return the scalar variant's time for a matmul, divided by the given variant's time.

    The two results are compared before anything is timed.
    """
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 256, 256), np.float32)
    with Runtime(threads=1, variant="scalar") as slow, Runtime(threads=1, variant=variant) as fast:
        operands = {rt: (rt.asarray(a), rt.asarray(b), rt.empty((256, 256))) for rt in (slow, fast)}

        def run(rt: Runtime) -> None:
            """Multiply the matrices in one of the runtimes."""
            x, y, out = operands[rt]
            matmul(x, y, out=out, runtime=rt)

        run(slow)
        run(fast)
        np.testing.assert_allclose(operands[slow][2], operands[fast][2], rtol=0, atol=1e-3)
        best = {slow: float("inf"), fast: float("inf")}
        for _ in range(15):
            for rt in (slow, fast):
                best[rt] = min(best[rt], _seconds(partial(run, rt)))
    return best[slow] / best[fast]


def _seconds(work: Callable[[], None]) -> float:
    """Return the duration of a call in seconds."""
    start = perf_counter()
    work()
    return perf_counter() - start


def backends() -> list[BackendStatus]:
    """Return each backend's status on this machine: what it computes with, or what it lacks."""
    return backend_statuses(f"wasmtime {wasmtime_version()}, variant {best_variant()}")


def hybrid_timings() -> Mapping[str, Seconds]:
    """Measure some common calls for "hybrid", and return all timings that this machine has.

    Calls with existing timings are not measured again.
    """
    rng = np.random.default_rng(0)
    square = rng.standard_normal((512, 512), np.float32)
    # "hybrid" measures operations on rows only if they have more elements than a square of 512.
    rows = rng.standard_normal((1024, 512), np.float32)
    heads = rng.standard_normal((8, 512, 64), np.float32)
    corpus = rng.standard_normal((10_000, 384), np.float32)
    matmul(square, square, backend="hybrid")
    softmax(rows, backend="hybrid")
    layer_norm(rows, square[0], square[1], backend="hybrid")
    for causal in (False, True):
        attention(heads, heads, heads, causal=causal, backend="hybrid")
    for count in (1, 64):
        cosine_top_k(corpus[:count], corpus, 10, backend="hybrid")
    return known_timings()
