"""Arrays to test with: repeatable values, every memory layout, every accepted type."""

import ml_dtypes
import numpy as np

FLOAT_TYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]

# A number of each kind that IEEE 754 treats specially, and the limits of float32's range.
SPECIAL = np.array(
    [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1e-45,
        -1e-39,
        1.1754944e-38,
        3.4028235e38,
        -3.4028235e38,
        1,
    ],
    np.float32,
)


def normal(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape, np.float32)


def layouts(array):
    """Yield (name, array of the same values) for each memory layout."""
    yield "contiguous", np.ascontiguousarray(array)
    yield "fortran", np.asfortranarray(array)
    yield "reversed", np.flip(np.flip(array).copy())
    wide = np.empty((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    yield "every other", wide[..., ::2]
    buffer = np.empty(array.nbytes + 1, np.uint8)
    unaligned = np.ndarray(array.shape, array.dtype, buffer, offset=1)
    unaligned[...] = array
    yield "unaligned", unaligned
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    yield "big-endian", array.astype(array.dtype.newbyteorder(">"))


def assert_same_bits(actual, expected):
    """Fail unless two float32 arrays have the same bits. All NaNs count as equal."""
    assert actual.dtype == np.float32
    assert expected.dtype == np.float32
    assert actual.shape == expected.shape
    same = (actual.view(np.uint32) == expected.view(np.uint32)) | (
        np.isnan(actual) & np.isnan(expected)
    )
    differing = np.argwhere(~same)
    assert not len(differing), (
        f"{len(differing)} of {same.size} elements differ, first at {differing[0].tolist()}:"
        f" {actual[tuple(differing[0])]!r}, expected {expected[tuple(differing[0])]!r}"
    )
