"""Calls of random operations and sizes with known results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.attention_backward import attention_backward_case
from flashwasm.benchmarks.cases.elementwise import (
    embedding_case,
    gelu_case,
    rotary_case,
    vecadd_case,
)
from flashwasm.benchmarks.cases.products import matmul_case, matmul_i8_case, top_k_case
from flashwasm.benchmarks.cases.rows import (
    layer_norm_case,
    mean_pool_case,
    rms_norm_case,
    softmax_case,
)
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.ops import Int8Matrix, matmul_i8

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from numpy.typing import NDArray

    import flashwasm as fw
    from flashwasm.benchmarks.case import Case

    Array = NDArray[Any]
    Sizes = tuple[int, int, int]

__all__ = ["PreparedCall", "prepared_calls"]


def _product_of_codes(m: int, k: int, n: int) -> Case:
    """Return the case of a product with codes that are computed in each call."""

    def run(a: Array, b: Array, *, runtime: fw.Runtime, timeout: float | None = None) -> Array:
        matrix = Int8Matrix(b, runtime=runtime)
        return matmul_i8(a, matrix, timeout=timeout)

    return replace(matmul_i8_case(m, k, n), run=run)


# Each operation with three sizes. The benchmarks time the same cases.
_CASES: tuple[Callable[[int, int, int], Case], ...] = (
    matmul_case,
    _product_of_codes,
    lambda a, b, _: softmax_case(a, b),
    lambda a, b, _: layer_norm_case(a, b),
    lambda a, b, _: rms_norm_case(a, b),
    lambda a, b, c: mean_pool_case(1 + c % 5, a, b),
    lambda a, b, _: vecadd_case(a * b),
    lambda a, b, _: gelu_case(a * b),
    lambda a, b, c: rotary_case(1 + c % 4, a, 2 * b),
    lambda a, b, c: embedding_case(a, c, b),
    lambda a, b, c: top_k_case(1 + c % 9, a, b, 1 + a // 3),
    lambda a, b, c: attention_case(1 + c % 4, a, b),
    lambda a, b, c: attention_case(1 + c % 4, a, b, causal=True),
    lambda a, b, c: attention_backward_case(1 + c % 3, a, b),
    lambda a, b, c: attention_backward_case(1 + c % 3, a, b, causal=True),
)
# Maximum length of an axis. Some calls then consist of several tasks, and most take milliseconds.
_MOST = 120


@dataclass(frozen=True)
class PreparedCall:
    """A call, and the bits of its result.

    Attributes
    ----------
    name : str
        Name of the operation, and its sizes.
    inputs : tuple of numpy.ndarray
        Operands.
    function : callable
        Function of the operands, with ``runtime`` and ``timeout`` as keyword arguments.
    expected : tuple of bytes
        Bits of the arrays that it returns. The oracle has confirmed them.
    """

    name: str
    inputs: tuple[Array, ...]
    function: Callable[..., Any]
    expected: tuple[bytes, ...]

    def is_right(self, runtime: fw.Runtime, random: Random, timeout: float | None = None) -> bool:
        """Call the function on operands of random layouts, and compare the bits of the result.

        Parameters
        ----------
        runtime : Runtime
            Runtime to use.
        random : random.Random
            Generator that draws the memory layouts of the operands.
        timeout : float, optional
            Seconds that the call may take.
        """
        operands = [_relaid(x, runtime, random) for x in self.inputs]
        return _bits(self.function(*operands, runtime=runtime, timeout=timeout)) == self.expected


def prepared_calls(random: Random, runtime: fw.Runtime, count: int) -> list[PreparedCall]:
    """Draw calls, and compute each once; raise WrongResultError if a result is out of bounds.

    Parameters
    ----------
    random : random.Random
        Generator that draws operations, sizes and operands.
    runtime : Runtime
        Runtime to compute in.
    count : int
        Number of calls.
    """
    calls = []
    for number in range(count):
        sizes = (random.randint(1, _MOST), random.randint(1, _MOST), random.randint(1, _MOST))
        case = _CASES[number % len(_CASES)](*sizes)
        inputs = case.make(np.random.default_rng(random.getrandbits(32)))
        result = case.run(*inputs, runtime=runtime)
        Expectation.of(case, inputs).checked_error("flashwasm", result)
        calls.append(PreparedCall(case.name, inputs, case.run, _bits(result)))
    return calls


def _bits(result: Any) -> tuple[bytes, ...]:
    """Return the bits of a result that is one array or several."""
    arrays = result if isinstance(result, tuple) else (result,)
    return tuple(np.ascontiguousarray(x).tobytes() for x in arrays)


def _relaid(x: Array, runtime: fw.Runtime, random: Random) -> Array:
    """Return the same numbers in a random memory layout."""
    way = random.randrange(8)
    if way == 0:
        return runtime.asarray(x)
    if way == 1:
        return np.asfortranarray(x)
    if way == 2:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if way == 3:
        return x[::-1].copy()[::-1]
    if way == 4:
        return x.astype(np.float64 if x.dtype == np.float32 else np.int64)
    return x
