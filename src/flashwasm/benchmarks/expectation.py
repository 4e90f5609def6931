"""The expected result of a case, and the comparison of actual results with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flashwasm.errors import FlashWasmError

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array, Case, Inputs, Output


class WrongResultError(FlashWasmError):
    """A result is out of bounds, so its timing is meaningless."""


@dataclass(frozen=True)
class Expectation:
    """The exact result of a case on some inputs.

    Attributes
    ----------
    name : str
        Name of the case, for messages.
    values : tuple of numpy.ndarray of float64
        The oracle's result.
    bounds : tuple of numpy.ndarray of float64
        Error limit of each element.
    """

    name: str
    values: tuple[Array, ...]
    bounds: tuple[Array, ...]

    @classmethod
    def of(cls, case: Case, inputs: Inputs) -> Expectation:
        """Compute the exact result of a case and its error limits."""
        values = _arrays(case.oracle(*inputs))
        bounds = _arrays(case.bound(*inputs))
        pairs = zip(bounds, values, strict=True)
        return cls(case.name, values, tuple(np.broadcast_to(b, v.shape) for b, v in pairs))

    @property
    def largest_bound(self) -> float:
        """The largest error limit of any element."""
        return max(float(bound.max(initial=0)) for bound in self.bounds)

    def checked_error(self, contender: str, result: Output) -> float:
        """Return the largest error of a result of this package.

        Parameters
        ----------
        contender : str
            Name of the implementation, for the message.
        result : numpy.ndarray or tuple of numpy.ndarray
            The result.

        Raises
        ------
        WrongResultError
            If an element is further from the oracle than its bound.
        """
        for error, bound in zip(self._errors(result), self.bounds, strict=True):
            # Use not (error <= bound): any comparison with NaN is False, so a NaN counts as wrong.
            wrong = ~(error <= bound)
            if wrong.any():
                at = np.unravel_index(np.argmax(np.where(wrong, error - bound, -1)), error.shape)
                message = (
                    f"{self.name}, {contender}: error {error[at]:g}, allowed {bound[at]:g} "
                    f"at {tuple(map(int, at))}"
                )
                raise WrongResultError(message)
        return self.error(result)

    def check_other(self, contender: str, result: Output) -> float:
        """Return the largest error of a result of NumPy or another library.

        The bounds are derived for the kernels' formula, element by element. NumPy may use a
        different formula: its GELU, for example, loses precision for negative numbers. Only the
        largest error is therefore compared with the largest bound.

        Parameters
        ----------
        contender : str
            Name of the implementation, for the message.
        result : numpy.ndarray or tuple of numpy.ndarray
            The result.

        Raises
        ------
        WrongResultError
            If the largest error exceeds the largest bound.
        """
        error = self.error(result)
        # A NaN counts as wrong here, too.
        if not error <= self.largest_bound:
            message = f"{self.name}, {contender}: error {error:g}, allowed {self.largest_bound:g}"
            raise WrongResultError(message)
        return error

    def error(self, result: Output) -> float:
        """Return the largest absolute error of a result; NaN if the result contains NaN."""
        return float(np.max([error.max(initial=0) for error in self._errors(result)]))

    def _errors(self, result: Output) -> list[Array]:
        """Return the absolute error of each element."""
        pairs = zip(_arrays(result), self.values, strict=True)
        return [np.abs(np.reshape(x, value.shape).astype(np.float64) - value) for x, value in pairs]


def _arrays(output: Output) -> tuple[Array, ...]:
    """Return the arrays of a result, which is one array or several."""
    return output if isinstance(output, tuple) else (output,)
