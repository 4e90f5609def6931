"""Cases: one operation at one size, with everything needed to measure it."""

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
        Name of the operation, and its size as text.
    make : callable
        Function that returns the inputs; its argument is a random generator.
    run : callable
        Function that runs the operation of this package. Its arguments are the inputs, the keyword
        ``runtime``, and the keyword ``out`` if it returns one array.
    baseline : callable
        The same operation in float32 NumPy, written in the most direct way.
    oracle : callable
        Function that computes the exact result from the inputs, in float64 NumPy.
    bound : callable
        Function that derives the error bound of each element of the result from the inputs, in
        arrays that broadcast to the result.
    work : float
        Number of floating-point operations in one call, or number of bytes that it moves.
    unit : {"GFLOP/s", "GB/s"}
        Unit of the rate that ``work`` gives.
    baseline_name : str
        Short description of the NumPy baseline.
    one_read : callable, optional
        Function that reads the inputs once from NumPy's memory, for comparison with cases that are
        limited by memory bandwidth.
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
