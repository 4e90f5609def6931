"""How far a float32 result may lie from the float64 one, derived from the operands.

U is float32's unit roundoff. A chain of n rounded operations multiplies each term of a sum by at
most 1 + gamma(n) (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1); it holds for
any order of the terms and with or without fused multiply-adds. Underflow adds at most TINY a term.
The bounds are worst cases: none is adjusted to what a kernel happens to reach.
"""

import numpy as np

from flashwasm.oracles import reference

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


def _score_error(q, k, scores, options):
    """Bound how far scores are off before their exponential.

    gamma(D + 3) scale |q|.|k|, the error of tanh where they are capped, and the roundings of what
    is added to them.
    """
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
    return score_error


def attention(q, k, v, *, sinks=None, kept=None, **options):
    """Bounds on the output and the log-sum-exp.

    A weight is off by a factor exp(d) where its score is off by d. The weights' sum and their
    product with v are chains over the keys.
    """
    scores = reference.attention_scores(q, k, **options)
    score_error = _score_error(q, k, scores, options)
    seen = ~np.isneginf(scores)
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
    if np.ndim(q) > 2:
        absolute_v = np.repeat(absolute_v, scores.shape[-3] // absolute_v.shape[-3], axis=-3)
    # A block's correction factor is one exponential and one product: a chain of its own.
    chain = gamma(2 * keys + 4) + EXPONENTIAL
    # Dropout multiplies once, with a factor that was rounded.
    roundings = chain if kept is None else chain + gamma(2)
    out = ((p if kept is None else p * kept) * (term + mean + roundings)) @ absolute_v
    out = out + SMALLEST_NORMAL
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


def _weights_and_error(q, k, v, sinks, options):
    """Return exp(score - lse), and how far it is off in float32."""
    scores = reference.attention_scores(q, k, **options)
    seen = ~np.isneginf(scores)
    lse = reference.attention(q, k, v, sinks=sinks, **options)[1][..., None]
    lse_error = attention(q, k, v, sinks=sinks, **options)[1][..., None]
    depth = np.where(seen, lse - scores, 0)
    shift = _score_error(q, k, scores, options) + lse_error
    shift = shift + gamma(4) * (np.abs(depth) + shift) + EXPONENTIAL
    p = np.where(seen, np.exp(-depth), 0)
    return p, np.where(seen, p * np.expm1(shift) + 2 * SMALLEST_NORMAL, 0)


def _slope_and_error(q, k, options):
    """Return the derivative of the capped score, and how far it is off."""
    cap = options.get("softcap")
    if not cap:
        return 1.0, 0.0
    capped = reference.attention_scores(q, k, **options | {"stage": "softcap"})
    ratio = np.abs(capped) / cap
    off = _score_error(q, k, capped, options | {"stage": "softcap"}) / cap + gamma(2) * ratio
    return 1 - ratio**2, 2 * ratio * off + off**2 + gamma(2)


def _terms(rows, shape, lead):
    """Return how many terms the sum over rows and over leading axes that were broadcast has."""
    own = (1,) * (len(lead) + 3 - len(shape)) + shape
    return rows * np.prod([n for n, m in zip(lead, own, strict=False) if m == 1])


@np.errstate(over="ignore", invalid="ignore")
def attention_backward(dout, q, k, v, *, sinks=None, kept=None, **options):
    """Bounds on dq, dk and dv, from the output and the log-sum-exp that the kernels compute.

    dp and delta are chains over Dv; their difference e times the weight and the cap's slope is ds;
    the gradients are chains of such terms over keys, or over all the queries that read a key.
    """
    shapes, factors = [np.shape(x) for x in (q, k, v)], 1.0 if kept is None else kept
    out, _ = reference.attention(q, k, v, sinks=sinks, kept=kept, **options)
    out_error, _ = attention(q, k, v, sinks=sinks, kept=kept, **options)
    p, p_error = _weights_and_error(q, k, v, sinks, options)
    slope, slope_error = _slope_and_error(q, k, options)
    scale = shapes[0][-1] ** -0.5 if options.get("scale") is None else abs(options["scale"])
    q, absolute_dout = _magnitudes(q, dout)
    group = p.shape[-3] // shapes[1][-3] if q.ndim > 2 else 1
    if group > 1:
        k, v = (np.repeat(x, group, axis=-3) for x in (k, v))
    (k, absolute_v), v = _magnitudes(k, v), np.asarray(v, np.float64)
    chain = gamma(v.shape[-1] + 5)
    dp = factors * (dout @ np.swapaxes(v, -1, -2))
    delta = (dout * out).sum(axis=-1, keepdims=True)
    e_error = chain * factors * (absolute_dout @ np.swapaxes(absolute_v, -1, -2))
    delta_error = absolute_dout * (out_error + chain * (np.abs(out) + out_error))
    e, e_error = np.abs(dp - delta), e_error + delta_error.sum(axis=-1, keepdims=True)
    e_error = e_error + gamma(2) * (e + e_error)
    ds = scale * p * e * slope
    above = scale * (p + p_error) * (e + e_error) * (slope + slope_error) * (1 + gamma(5))
    above = above + 4 * TINY
    weight, above_weight = p * factors, (p + p_error) * factors * (1 + gamma(2))
    lead, (queries, keys) = p.shape[:-3], p.shape[-2:]

    def product(true, most, x, shape, rows):
        terms = gamma(_terms(rows, shape, lead) + 1)
        error = (most - true) @ x + terms * (most @ x) + SMALLEST_NORMAL
        return reference.summed(np.broadcast_to(error, (*p.shape[:-2], *error.shape[-2:])), shape)

    ds_t, above_t, weight_t, above_weight_t = (
        np.swapaxes(x, -1, -2) for x in (ds, above, weight, above_weight)
    )
    return (
        product(ds, above, k, shapes[0], keys),
        product(ds_t, above_t, q, shapes[1], group * queries),
        product(weight_t, above_weight_t, absolute_dout, shapes[2], group * queries),
    )


def lora_apply(x, a, b, scale):
    """Sums over the input and over the ranks, each product rounded, and their sum with x."""
    x, a, b = (np.abs(np.asarray(array, np.float64)) for array in (x, a, b))
    products = abs(scale) * (x @ a.T) @ b.T
    terms = a.shape[1] + len(a) + 4
    return gamma(terms) * (products + x.max(axis=-1, keepdims=True)) + TINY
