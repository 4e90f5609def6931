"""Cases: one operation at one size, with everything that is needed to measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Inputs = tuple[Array, ...]
    Output = Array | tuple[Array, ...]


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Inputs]:
    """Return a function that draws standard normal float32 arrays of these shapes."""
    return lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes)


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    Attributes
    ----------
    operation, size : str
        Name of the operation, and a text that says its size.
    make : callable
        Function that takes a random generator and returns the inputs.
    run : callable
        Function that runs the operation of this package. It takes the inputs, then ``runtime`` by
        name, and ``out`` by name if it returns one array.
    baseline : callable
        The same operation in float32 NumPy, written as one would write it first.
    oracle : callable
        Function that takes the inputs and returns the exact result, in float64 NumPy.
    bound : callable
        Function that takes the inputs and returns the derived error limit of each element of the
        result, in arrays that broadcast to it.
    work : float
        Number of floating-point operations of one call, or number of bytes that it moves.
    unit : {"GFLOP/s", "GB/s"}
        Unit of the rate that ``work`` gives.
    baseline_name : str
        A few words that say how the NumPy baseline computes.
    one_read : callable, optional
        Function that reads the inputs once from NumPy's memory. Cases whose time is mostly spent
        waiting for memory are compared with it.
    options : mapping of str to bool
        Options that other libraries need besides the inputs, for example ``causal``.
    """

    operation: str
    size: str
    make: Callable[[np.random.Generator], Inputs]
    run: Callable[..., Any]
    baseline: Callable[..., Any]
    oracle: Callable[..., Any]
    bound: Callable[..., Any]
    work: float
    unit: str
    baseline_name: str
    one_read: Callable[..., object] | None = None
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Operation and size in one text."""
        return f"{self.operation} {self.size}"
