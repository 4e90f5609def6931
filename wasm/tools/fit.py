"""Fit the polynomials of shared/vector_math.h and operations/gelu.c and print their coefficients.

    python wasm/tools/fit.py

Each polynomial minimises the greatest relative error on its interval. It is found in float64 by
iteratively reweighted least squares (Lawson's method), and its coefficients are rounded to float32.
Run this to see where a constant in the C files comes from; the build does not need it.

It needs numpy and scipy (for erfcx).
"""

import numpy as np
from scipy.special import erfcx


def minimax(basis, target, scale, rounds=400):
    """Return the c that minimises max |(basis @ c - target) / scale|, and that error."""
    weights = np.ones(len(target))
    best, best_error = None, np.inf
    for _ in range(rounds):
        root = np.sqrt(weights) / scale
        c, *_ = np.linalg.lstsq(basis * root[:, None], target * root, rcond=None)
        error = np.abs((basis @ c - target) / scale)
        if error.max() < best_error:
            best, best_error = c, error.max()
        weights = weights * (error / error.max() + 1e-6)
        weights /= weights.sum()
    return best, best_error


def show(name, coefficients, error):
    """Print one coefficient on each line, the lowest power first."""
    print(f"{name}: relative error {error:.2e}")
    for power, value in enumerate(np.float32(coefficients)):
        print(f"  [{power:2}] {value!r} {float(value).hex()}")


def chebyshev_points(low, high, count=4000):
    """Return points that are denser towards both ends of an interval."""
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.linspace(0, np.pi, count))


# 2^f = 1 + f Q(f). The constant is exactly 1, so that 2^0 is exactly 1.
f = chebyshev_points(-0.5, 0.5)
c, error = minimax(np.stack([f**i for i in range(1, 7)], axis=1), np.exp2(f) - 1, np.exp2(f))
show("2^f, |f| <= 1/2", np.concatenate([[1.0], c]), error)

# Phi(-a) = exp(-a^2/2) w(a) with w(a) = erfcx(a / sqrt 2) / 2 = t P(t), t = 1 / (1 + a / 4).
a = chebyshev_points(0.0, 14.0)
t = 1 / (1 + a / 4)
w = erfcx(a / np.sqrt(2)) / 2
c, error = minimax(np.stack([t ** (i + 1) for i in range(9)], axis=1), w, w)
show("w(a) / t in powers of t", c, error)

# Near zero, tanh x = x + x^3 T(x^2).
x = chebyshev_points(1e-3, 0.625)
powers = np.stack([x ** (2 * i + 3) for i in range(5)], axis=1)
c, error = minimax(powers, np.tanh(x) - x, np.tanh(x))
show("(tanh(x) - x) / x^3 in powers of x^2, 0 <= x <= 5/8", c, error)
