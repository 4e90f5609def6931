"""Constants of float32's rounding, and the error of a chain of roundings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from flashwasm.oracles.arrays import Array

UNIT_ROUNDOFF = 2.0**-24
SMALLEST_SUBNORMAL = 2.0**-149
SMALLEST_NORMAL = 2.0**-126
# The kernels compute 2^x by a polynomial. This covers the polynomial's own error and the roundings
# of its evaluation.
EXPONENTIAL = 4 * UNIT_ROUNDOFF
# The kernels compute tanh as a quotient of such exponentials, from an argument that was rounded
# twice. Near zero, where the quotient would lose precision, they use a polynomial.
TANH = 16 * UNIT_ROUNDOFF


class Exponential(NamedTuple):
    """Relative error of exp(-depth), where depth is the distance of a score from the greatest one.

    Attributes
    ----------
    relative : float
        The constant part.
    of_depth : float
        The part per unit of depth. The subtraction rounds once.
    """

    relative: float
    of_depth: float

    def error(self, depth: Array) -> Array:
        """Return the error at some depths."""
        total: Array = self.of_depth * depth + self.relative
        return total


# The kernels' exponential rounds its argument once more, to change the base.
OF_KERNELS = Exponential(EXPONENTIAL, 2 * UNIT_ROUNDOFF)


def gamma(n: float) -> float:
    """Return the maximum relative error of n successive roundings (Higham's gamma)."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)
