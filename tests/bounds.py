"""How far a float32 result may lie from the float64 one, derived from the operands.

U is float32's unit roundoff. A chain of n rounded operations multiplies each term of a sum by at
most 1 + gamma(n) (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1); it holds for
any order of the terms and with or without fused multiply-adds. Underflow adds at most TINY a term.
The bounds are worst cases: none is adjusted to what a kernel happens to reach.
"""

import numpy as np

import reference

U = 2.0**-24
TINY = 2.0**-149
SMALLEST_NORMAL = 2.0**-126
# The kernels' 2^x is a polynomial: its own error and the roundings in evaluating it.
EXPONENTIAL = 4 * U
# tanh is a quotient of such exponentials, of an argument that was rounded twice; near zero, where
# the quotient would cancel, it is a polynomial.
TANH = 16 * U


def gamma(n):
    return n * U / (1 - n * U)


def assert_close(actual, expected, bound):
    """Fail unless actual is float32, finite exactly where expected is, and within the bound."""
    expected = np.asarray(expected, np.float64)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(actual), finite, "where values are finite")
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    bound = np.broadcast_to(bound, expected.shape)
    error = np.where(finite, np.abs(actual - np.where(finite, expected, 0)), 0)
    excess = error > np.where(finite, bound, 0)
    if excess.any():
        worst = np.unravel_index(np.argmax(np.where(excess, error, -1)), error.shape)
        message = (
            f"{excess.sum()} of {excess.size} elements are out of bounds, the worst at"
            f" {tuple(map(int, worst))}: {actual[worst]!r}, expected {expected[worst]!r},"
            f" error {error[worst]:.3g}, bound {bound[worst]:.3g}"
        )
        raise AssertionError(message)


def _magnitudes(*arrays):
    return tuple(np.abs(np.asarray(array, np.float64)) for array in arrays)


def matmul(a, b, bias=None):
    a, b = _magnitudes(a, b)
    k = a.shape[-1]
    terms = a @ b if bias is None else a @ b + np.abs(np.asarray(bias, np.float64))
    return gamma(k + 1) * terms + (k + 1) * TINY


def softmax(x, axis=-1):
    """Subtraction and base change lose an ulp of the exponent each; then exp, sum, division."""
    x = np.asarray(x, np.float64)
    p = reference.softmax(x, axis)
    depth = x.max(axis=axis, keepdims=True, initial=-np.inf) - x
    term = np.where(p > 0, 2 * U * depth + EXPONENTIAL, 0)
    mean = (p * term).sum(axis=axis, keepdims=True)
    return p * (term + mean + gamma(x.shape[axis] + 2)) + 2 * TINY


def layer_norm(x, weight=None, bias=None, eps=1e-5, axis=-1):
    """The mean is off by gamma(n) of the mean magnitude, and everything centred on it with it."""
    x = np.asarray(x, np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    n = int(np.prod([x.shape[i] for i in axes]))
    centred = np.abs(x - x.mean(axis=axes, keepdims=True))
    shift = gamma(n + 1) * np.abs(x).mean(axis=axes, keepdims=True)
    variance = (centred**2).mean(axis=axes, keepdims=True) + eps
    # |d variance| from a shifted mean, and from summing n squares; half of it reaches the root.
    spread = (2 * centred.mean(axis=axes, keepdims=True) * shift + shift**2) / variance
    relative = 0.5 * (spread + gamma(n + 4)) + 5 * U
    error = shift / np.sqrt(variance) + centred / np.sqrt(variance) * relative
    scale = np.abs(np.asarray(1 if weight is None else weight, np.float64))
    offset = np.abs(np.asarray(0 if bias is None else bias, np.float64))
    return scale * error + 2 * U * (scale * centred / np.sqrt(variance) + offset) + TINY


def rms_norm(x, weight=None, eps=1e-5, axis=-1):
    x = np.asarray(x, np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    n = int(np.prod([x.shape[i] for i in axes]))
    return np.abs(reference.rms_norm(x, weight, eps, axis)) * (0.5 * gamma(n + 4) + 5 * U) + TINY


@np.errstate(all="ignore")
def gelu(x, approximate="none"):
    """Bound x (1 - t) above zero and x t below, where t is the tail: an exponential of x.

    Its exponent, x^2 / 2 or 2 u, is off by a few ulps of itself, and 16 roundings make the rest of
    it. The tanh form may take a tail that would be subnormal for zero.
    """
    (a,) = _magnitudes(x)
    y = np.abs(reference.gelu(x, approximate))
    if approximate == "tanh":
        exponent, lost = 1.6 * (a + 0.044715 * a**3), a * SMALLEST_NORMAL
    else:
        exponent, lost = 0.5 * a**2, 0.0
    tail = np.abs(reference.gelu(-a, approximate))
    return np.expm1((4 * exponent + 16) * U) * tail + 3 * U * y + lost + TINY


def rotary_embedding(x, cos, sin, **options):
    x, cos, sin = _magnitudes(x, cos, sin)
    # |cos x1| + |sin x2| and |sin x1| + |cos x2|: each is where one sign of the sine leads to.
    there = reference.rotary_embedding(x, cos, sin, **options)
    back = reference.rotary_embedding(x, cos, -sin, **options)
    return gamma(2) * np.maximum(there, back) + 2 * TINY


def mean_pool(x, cu_seqlens, *, normalize=False):
    """Bound each mean by its run's magnitudes, and the unit vector by the whole mean's error.

    Dividing by the length moves an element by its own error, and by its share of the length's.
    """
    (a,) = _magnitudes(x)
    rows = int(np.max(np.diff(cu_seqlens), initial=0))
    error = gamma(rows + 2) * reference.mean_pool(a, cu_seqlens) + TINY
    if not normalize:
        return error
    length = np.linalg.norm(reference.mean_pool(x, cu_seqlens), axis=1, keepdims=True)
    length = np.where(length == 0, 1, length)
    unit = np.abs(reference.mean_pool(x, cu_seqlens, normalize=True))
    along = np.linalg.norm(error, axis=1, keepdims=True) / length
    return error / length + unit * (along + gamma(a.shape[1] + 4)) + TINY


def similarity(queries, corpus, metric="cosine"):
    q, c = _magnitudes(queries, corpus)
    dim = q.shape[1]
    if metric == "l2":
        terms = (q**2).sum(1)[:, None] + (c**2).sum(1) + 2 * q @ c.T
        return gamma(dim + 3) * terms + dim * TINY
    if metric == "dot":
        return gamma(dim) * (q @ c.T) + dim * TINY
    # The dot product, both norms (half of whose squares' error reaches the root), two divisions.
    return np.broadcast_to(gamma(2 * dim + 6), (len(q), len(c)))


def _finite(x):
    return np.where(np.isfinite(x), x, 0)


def attention(q, k, v, *, sinks=None, **options):
    """Bounds on the output and the log-sum-exp.

    A score is off by d = gamma(D + 3) scale |q|.|k|, by the error of tanh where it is capped, and
    by the roundings of what is added; so its weight by a factor exp(d). The weights' sum and their
    product with v are chains over the keys.
    """
    scores = reference.attention_scores(q, k, **options)
    absolute_q, absolute_k = _magnitudes(q, k)
    dim, scale = absolute_q.shape[-1], options.get("scale")
    reach = reference.attention_scores(absolute_q, absolute_k, scale=scale and abs(scale))
    score_error = gamma(dim + 3) * np.broadcast_to(reach, scores.shape)
    seen = ~np.isneginf(scores)
    if options.get("softcap"):
        capped = reference.attention_scores(q, k, **options | {"stage": "softcap"})
        score_error = score_error + TANH * np.abs(capped)
    if options.get("mask") is not None and np.asarray(options["mask"]).dtype != bool:
        mask = np.asarray(options["mask"], np.float64)
        score_error = score_error + 2 * U * np.where(np.isneginf(mask), 0, np.abs(mask))
    if options.get("alibi_slopes") is not None:
        plain = {k: v for k, v in options.items() if k != "alibi_slopes"}
        without = reference.attention_scores(q, k, **plain)
        moved = np.where(seen, scores, 0) - np.where(seen, without, 0)
        score_error = score_error + 3 * U * np.abs(moved)
    top = np.where(seen, scores, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf)
    extra = -np.inf if sinks is None else np.asarray(sinks, np.float64)[:, None, None]
    top = np.maximum(top, extra)
    top = np.where(np.isneginf(top), 0, top)
    depth = np.where(seen, top - scores, 0)
    weights = np.where(seen, np.exp(-depth), 0)
    total = weights.sum(axis=-1, keepdims=True) + np.exp(extra - top)
    p = weights / np.where(total == 0, 1, total)
    term = np.where(seen, np.expm1(score_error + 2 * U * depth + EXPONENTIAL), 0)
    mean = (p * term).sum(axis=-1, keepdims=True)
    if sinks is not None:
        # A sink's own exponential is off by as much as its depth makes it.
        mean = mean + EXPONENTIAL + 2 * U * _finite(top - extra)
    keys = scores.shape[-1]
    (absolute_v,) = _magnitudes(v)
    if absolute_q.ndim > 2:
        absolute_v = np.repeat(absolute_v, scores.shape[-3] // absolute_v.shape[-3], axis=-3)
    # A block's correction factor is one exponential and one product: a chain of its own.
    chain = gamma(2 * keys + 4) + EXPONENTIAL
    out = (p * (term + mean + chain)) @ absolute_v + SMALLEST_NORMAL
    lse = (
        mean[..., 0] + chain + 3 * U * (np.abs(top[..., 0]) + np.log(np.maximum(total[..., 0], 1)))
    )
    return out, lse


def attention_int8(q, k, v, **options):
    """The same where keys and values are int8 with a scale a row.

    A query becomes integers of 2^-29 of its greatest magnitude at most, and so do the weights times
    scales of a block; their sums are exact. A row of values is up to its scale times 127.
    """
    out, lse = attention(q, k, v, **options)
    q, k, v = _magnitudes(q, k, v)
    scale = q.shape[-1] ** -0.5 if options.get("scale") is None else abs(options["scale"])
    score = 2.0**-29 * scale * q.max() * k.sum(axis=-1).max(initial=0)
    greatest = v.max(initial=0)
    return out + (2 * score + 2.0**-29 * k.shape[-2]) * greatest, lse + 2 * score
