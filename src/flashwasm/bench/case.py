"""What a case is: an operation's data, its NumPy baseline, its oracle and its tolerance."""

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

EPS = float(np.finfo(np.float32).eps)


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Inputs]:
    """Return a maker of standard normal arrays."""
    return lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes)


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    Attributes
    ----------
    operation, size : str
        What is run, and on what.
    make : callable
        Takes a random generator; returns the inputs.
    run : callable
        Takes the inputs, then ``runtime`` by name, and ``out`` where it returns one array.
    baseline : callable
        The same by NumPy, in float32.
    oracle : callable
        The same by NumPy on inputs that were made float64.
    tolerance : float
        Largest absolute error against the oracle.
    work : float
        Floating-point operations, or bytes moved, of one call.
    unit : {"GFLOP/s", "GB/s"}
        Which of the two ``work`` counts.
    baseline_name : str
        What the NumPy baseline is.
    one_read : callable, optional
        Reads the inputs once from NumPy's memory, for cases that memory bounds.
    options : mapping of str to bool
        What other libraries have to be told besides the inputs.
    """

    operation: str
    size: str
    make: Callable[[np.random.Generator], Inputs]
    run: Callable[..., Any]
    baseline: Callable[..., Any]
    oracle: Callable[..., Any]
    tolerance: float
    work: float
    unit: str
    baseline_name: str
    one_read: Callable[..., object] | None = None
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Operation and size."""
        return f"{self.operation} {self.size}"
