"""Comparison of a float32 result with an oracle, element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flashwasm.oracles.arrays import Array


def assert_close(actual: Array, expected: ArrayLike, bound: ArrayLike) -> None:
    """Fail unless a float32 result is within a bound of the oracle's result.

    If an element of the oracle's result is infinite or NaN, the result must have the same element.

    Parameters
    ----------
    actual : numpy.ndarray of float32
        Result to check.
    expected : array_like of float, shape of ``actual``
        Oracle's result.
    bound : array_like of float
        Maximum absolute error; it broadcasts to the shape of ``actual``.

    Raises
    ------
    AssertionError
        If the dtype or the shape differs, or if an element is out of bounds. The message names the
        worst element.
    """
    expected = np.asarray(expected, np.float64)
    if actual.dtype != np.float32 or actual.shape != expected.shape:
        message = f"expected float32 of shape {expected.shape}, got {actual.dtype} {actual.shape}"
        raise AssertionError(message)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(actual), finite, "where values are finite")
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    bound = np.broadcast_to(bound, expected.shape)
    error = np.where(finite, np.abs(actual - np.where(finite, expected, 0)), 0)
    # Use not (error <= bound): any comparison with NaN is False, so a NaN bound counts as exceeded.
    excess = ~(error <= np.where(finite, bound, 0))
    if excess.any():
        worst = np.unravel_index(np.argmax(np.where(excess, error, -1)), error.shape)
        message = (
            f"{excess.sum()} of {excess.size} elements are out of bounds, the worst at"
            f" {tuple(map(int, worst))}: {actual[worst]!r}, expected {expected[worst]!r},"
            f" error {error[worst]:.3g}, bound {bound[worst]:.3g}"
        )
        raise AssertionError(message)
