"""What a case is: an operation's data, its NumPy baseline, its oracle and its tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Inputs = tuple[Array, ...]
    Output = Array | tuple[Array, ...]


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
    """

    operation: str
    size: str
    make: Callable[[np.random.Generator], Inputs]
    run: Callable[..., Output]
    baseline: Callable[..., Output]
    oracle: Callable[..., Output]
    tolerance: float
    work: float
    unit: str
    baseline_name: str
    one_read: Callable[..., object] | None = None
