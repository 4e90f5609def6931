"""Bounds of each backend's results: those of the sandbox, with the backend's own exponential."""

from flashwasm.backends.native.torch_attention import torch_version
from flashwasm.oracles import bounds
from flashwasm.oracles.bounds.rounding import OF_KERNELS, UNIT_ROUNDOFF

# A unit of the last place is at most two unit roundoffs of the value.
_ULP = 2 * UNIT_ROUNDOFF

EXPONENTIALS = {
    "wasm-simd": OF_KERNELS,
    # NumPy's own loops document at most 2.52 units of the last place for float32. PyTorch's
    # vectorised exponential is named after its limit: exp_u20, 20 units.
    "native": bounds.Exponential((20 if torch_version() else 2.6) * _ULP, UNIT_ROUNDOFF),
    # WGSL allows 3 + 2 |x| units of the last place.
    "gpu": bounds.Exponential(3 * _ULP, 2 * _ULP + UNIT_ROUNDOFF),
}
# It runs on one of the others.
EXPONENTIALS["hybrid"] = bounds.Exponential(*map(max, zip(*EXPONENTIALS.values(), strict=True)))


def attention(backend, *operands, **options):
    """Bound the output and the log-sum-exp of attention on a backend."""
    return bounds.attention(*operands, exponential=EXPONENTIALS[backend], **options)


def softmax(backend, x, axis=-1):
    """Bound softmax on a backend."""
    return bounds.softmax(x, axis, exponential=EXPONENTIALS[backend])
