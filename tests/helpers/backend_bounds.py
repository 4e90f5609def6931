"""Bounds of each backend's results: those of the sandbox, with the backend's own exponential.

WGSL allows an error of 2.5 units in the last place for a division, and of 4.5 for a square root.
The sandbox's bounds count half a unit for each. The bound of attention covers that difference: it
counts two roundings for each key. Up to 32 keys need one less than that and five for the division,
and blocks after the first need far fewer.
"""

import numpy as np

from flashwasm.backends.native.torch_attention import torch_version
from flashwasm.oracles import bounds, reference
from flashwasm.oracles.bounds.rounding import OF_KERNELS, UNIT_ROUNDOFF

# A unit in the last place is at most two unit roundoffs of the value.
_ULP = 2 * UNIT_ROUNDOFF
# Backends that may compute divisions and square roots in a shader.
_SHADERS = ("gpu", "hybrid")

EXPONENTIALS = {
    "wasm-simd": OF_KERNELS,
    # NumPy's own loops document at most 2.52 units of the last place for float32. PyTorch's
    # vectorised exponential is named after its limit: exp_u20, 20 units.
    "native": bounds.Exponential((20 if torch_version() else 2.6) * _ULP, UNIT_ROUNDOFF),
    # The shaders compute the kernels' polynomial.
    "gpu": OF_KERNELS,
}
# hybrid runs each call on one of the other backends, so it has the larger of their bounds.
EXPONENTIALS["hybrid"] = bounds.Exponential(*map(max, zip(*EXPONENTIALS.values(), strict=True)))


def attention(backend, *operands, **options):
    """Bound the output and the log-sum-exp of attention on a backend."""
    return bounds.attention(*operands, exponential=EXPONENTIALS[backend], **options)


def softmax(backend, x, axis=-1):
    """Bound softmax on a backend."""
    bound = bounds.softmax(x, axis, exponential=EXPONENTIALS[backend])
    return bound + _more_of_division(backend) * reference.softmax(x, axis)


def layer_norm(backend, x, weight=None, bias=None, eps=1e-5, axis=-1):
    """Bound layer norm on a backend: a division, a root, and a factor of one over the length."""
    plain = np.abs(reference.layer_norm(x, None, None, eps, axis))
    scale = 1 if weight is None else np.abs(weight)
    more = _more_of_division(backend) + _more_of_root(backend)
    more += UNIT_ROUNDOFF if backend in _SHADERS else 0
    return bounds.layer_norm(x, weight, bias, eps, axis) + more * plain * scale


def similarity(backend, queries, corpus, metric):
    """Bound scores on a backend. For the cosine, both rows are divided by their lengths."""
    bound = bounds.similarity(queries, corpus, metric)
    more = 2 * (_more_of_division(backend) + _more_of_root(backend))
    return bound + more if metric == "cosine" else bound


def _more_of_division(backend):
    """Return the relative error of a division beyond one rounding."""
    return 2.5 * _ULP - UNIT_ROUNDOFF if backend in _SHADERS else 0


def _more_of_root(backend):
    """Return the relative error of a square root beyond one rounding."""
    return 4.5 * _ULP - UNIT_ROUNDOFF if backend in _SHADERS else 0
