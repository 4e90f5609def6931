"""The operations in float64 NumPy, each in its most obvious form.

Arguments are arrays of any float type; what the package narrows to float32 on the way in has to be
narrowed by the caller before it is compared. Nothing here imports the package under test.
"""

import itertools
import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _float64(*arrays):
    return tuple(np.asarray(array, np.float64) for array in arrays)


@np.errstate(all="ignore")
def matmul(a, b, bias=None):
    a, b = _float64(a, b)
    product = a @ b
    return product if bias is None else product + np.asarray(bias, np.float64)


def vecadd(a, b):
    """Return the float32 sum: one correctly rounded addition leaves no room for tolerance."""
    with np.errstate(all="ignore"):
        return np.add(np.asarray(a, np.float32), np.asarray(b, np.float32))


@np.errstate(all="ignore")
def softmax(x, axis=-1):
    (x,) = _float64(x)
    e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=axis, keepdims=True)


def _normalised_axes(x, axis):
    return tuple(range(axis % x.ndim, x.ndim))


@np.errstate(all="ignore")
def layer_norm(x, weight=None, bias=None, eps=1e-5, axis=-1):
    (x,) = _float64(x)
    axes = _normalised_axes(x, axis)
    centred = x - x.mean(axis=axes, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    y = y if weight is None else y * np.asarray(weight, np.float64)
    return y if bias is None else y + np.asarray(bias, np.float64)


@np.errstate(all="ignore")
def rms_norm(x, weight=None, eps=1e-5, axis=-1):
    (x,) = _float64(x)
    y = x / np.sqrt((x**2).mean(axis=_normalised_axes(x, axis), keepdims=True) + eps)
    return y if weight is None else y * np.asarray(weight, np.float64)


def _normal_distribution(x):
    return 0.5 * _erfc(-np.asarray(x, np.float64) / math.sqrt(2))


@np.errstate(all="ignore")
def gelu(x, approximate="none"):
    """Hendrycks and Gimpel: x Phi(x), or its approximation by tanh. NaN at -inf, as -inf times 0.

    (1 + tanh u) / 2 is written as 1 / (1 + exp(-2 u)), which keeps its digits where it is small.
    """
    (x,) = _float64(x)
    if approximate == "tanh":
        return x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * _normal_distribution(x)


def embedding(ids, table):
    return np.asarray(table)[np.asarray(ids)].astype(np.float32)


def rotary_embedding(
    x, cos, sin, *, position_ids=None, interleaved=False, rotary_dim=None, num_heads=None
):
    """Rotate pairs of x (B, H, L, D), or (B, L, H*D) with num_heads, as ONNX RotaryEmbedding-23."""
    x, cos, sin = _float64(x, cos, sin)
    if num_heads is not None:
        batch, length, width = x.shape
        split = x.reshape(batch, length, num_heads, width // num_heads).transpose(0, 2, 1, 3)
        y = rotary_embedding(
            split,
            cos,
            sin,
            position_ids=position_ids,
            interleaved=interleaved,
            rotary_dim=rotary_dim,
        )
        return y.transpose(0, 2, 1, 3).reshape(batch, length, width)
    if position_ids is not None:
        cos, sin = cos[position_ids], sin[position_ids]
    cos, sin = cos[:, None], sin[:, None]
    half = (rotary_dim or x.shape[-1]) // 2
    pairs = (
        (slice(0, 2 * half, 2), slice(1, 2 * half, 2))
        if interleaved
        else (slice(0, half), slice(half, 2 * half))
    )
    y = x.copy()
    y[..., pairs[0]] = cos * x[..., pairs[0]] - sin * x[..., pairs[1]]
    y[..., pairs[1]] = sin * x[..., pairs[0]] + cos * x[..., pairs[1]]
    return y


@np.errstate(all="ignore")
def mean_pool(x, cu_seqlens, *, normalize=False):
    """Mean of each run of rows, of unit length where asked; zeros for an empty run."""
    (x,) = _float64(x)
    runs = [x[begin:end] for begin, end in itertools.pairwise(cu_seqlens)]
    means = np.array([run.mean(axis=0) if len(run) else np.zeros(x.shape[1]) for run in runs])
    means = means.reshape(len(runs), x.shape[1])
    if not normalize:
        return means
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.where(lengths == 0, means, means / lengths)


@np.errstate(all="ignore")
def similarity(queries, corpus, metric="cosine"):
    """Return every score, (queries, corpus); higher is nearer; a zero vector's cosine is 0."""
    queries, corpus = _float64(queries, corpus)
    dot = queries @ corpus.T
    if metric == "dot":
        return dot
    if metric == "l2":
        return -((queries[:, None] - corpus[None]) ** 2).sum(axis=-1)
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(corpus, axis=1)
    return np.where(norms == 0, 0.0, dot / norms)


def top_k(scores, k):
    """Return the k best columns of each row: highest first, ties by lowest column, NaN last."""
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def causal_offset(causal, queries, keys):
    """Return the offset such that query i sees keys up to i + offset, or None for all of them."""
    named = {"top_left": 0, "bottom_right": keys - queries}
    if causal is False:
        return None
    return named[causal] if isinstance(causal, str) else 0 if causal is True else causal


def attention_scores(
    q,
    k,
    *,
    stage="bias",
    causal=False,
    mask=None,
    scale=None,
    window=None,
    softcap=None,
    alibi_slopes=None,
    kv_lengths=None,
):
    """Return the scores (..., Hq, Lq, Lk) after a step, -inf where a query does not see a key."""
    q, k = _float64(q, k)
    queries, keys = q.shape[-2], k.shape[-2]
    if q.ndim > 2:
        k = np.repeat(k, q.shape[-3] // k.shape[-3], axis=-3)
    with np.errstate(all="ignore"):
        scores = (q @ np.swapaxes(k, -1, -2)) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if softcap and stage != "raw":
            scores = softcap * np.tanh(scores / softcap)
    if stage in {"raw", "softcap"}:
        return scores
    lengths = keys if kv_lengths is None else np.asarray(kv_lengths)[..., None, None, None]
    if isinstance(causal, str) and causal == "bottom_right":
        offset = lengths - queries
    else:
        offset = causal_offset(causal, queries, keys)
        offset = np.asarray(0 if offset is None else offset)
        offset = offset[..., None, None, None] if offset.ndim else offset
    past = np.arange(keys) - np.arange(queries)[:, None] - offset
    visible = (np.arange(keys) < lengths) & (past <= 0 if causal is not False else True)
    left, right = (None, None) if window is None else window
    visible = visible & (past >= -left if left not in {None, -1} else True)
    visible = visible & (past <= right if right not in {None, -1} else True)
    if alibi_slopes is not None:
        scores = scores - np.asarray(alibi_slopes, np.float64)[:, None, None] * np.abs(past)
    if mask is not None:
        mask = np.asarray(mask)
        visible = visible & (mask if mask.dtype == bool else ~np.isneginf(mask.astype(np.float64)))
        scores = scores if mask.dtype == bool else np.where(visible, scores, 0) + mask
    scores = np.where(visible, scores, -np.inf)
    if stage == "bias":
        return scores
    greatest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isneginf(greatest), 0, greatest))
    total = e.sum(axis=-1, keepdims=True)
    return np.where(total == 0, 0, e / np.where(total == 0, 1, total))


def attention(q, k, v, *, sinks=None, kept=None, **options):
    """Return softmax(scores) v and the scores' log-sum-exp, a row at a time.

    Only the keys that a row sees enter it, so what the others hold cannot matter. Weights are
    multiplied with `kept`, what dropout makes of them, if that is given.
    """
    scores = attention_scores(q, k, **options)
    (v,) = _float64(v)
    if np.ndim(q) > 2:
        v = np.repeat(v, scores.shape[-3] // v.shape[-3], axis=-3)
    v = np.broadcast_to(v, (*scores.shape[:-2], *v.shape[-2:]))
    out = np.zeros((*scores.shape[:-1], v.shape[-1]))
    lse = np.full(scores.shape[:-1], -np.inf)
    for row in np.ndindex(*scores.shape[:-1]):
        seen = ~np.isneginf(scores[row])
        s = scores[row][seen]
        extra = [] if sinks is None else [float(np.asarray(sinks)[row[-2]])]
        if len(s) or any(np.isfinite(extra)):
            with np.errstate(all="ignore"):
                greatest = np.max([*s, *extra])
                e, total = np.exp(s - greatest), np.exp(np.array([*s, *extra]) - greatest).sum()
                weights = e / total if kept is None else e / total * kept[row][seen]
                out[row] = weights @ v[row[:-1]][seen]
                lse[row] = greatest + np.log(total)
    return out, lse


def attention_backward(dout, q, k, v, *, sinks=None, kept=None, **options):
    """Return the gradients of sum(dout * out) by q, k and v, a row at a time, as attention above.

    With weights p and out = p v: dp = dout v, and the score's is p (dp - p . dp).
    """
    scores = attention_scores(q, k, **options)
    cap, scale = options.get("softcap"), options.get("scale")
    scale = np.shape(q)[-1] ** -0.5 if scale is None else scale
    slope = np.ones(scores.shape)
    if cap:
        slope = slope - (attention_scores(q, k, **options | {"stage": "softcap"}) / cap) ** 2
    _, lse = attention(q, k, v, sinks=sinks, **options)
    given, group = (q, k, v), 1 if np.ndim(q) == 2 else np.shape(q)[-3] // np.shape(k)[-3]
    q, k, v, dout = _float64(q, k, v, dout)
    if q.ndim > 2:
        k, v = (np.repeat(x, group, axis=-3) for x in (k, v))
    q, k, v = (np.broadcast_to(x, (*scores.shape[:-2], *x.shape[-2:])) for x in (q, k, v))
    dq, dk, dv = (np.zeros(x.shape) for x in (q, k, v))
    for row in np.ndindex(*scores.shape[:-1]):
        head, (seen,) = row[:-1], np.nonzero(~np.isneginf(scores[row]))
        factors = np.ones(len(seen)) if kept is None else kept[row][seen]
        with np.errstate(all="ignore"):
            p = np.exp(scores[row][seen] - lse[row])
            dp = factors * (v[head][seen] @ dout[row])
            ds = p * (dp - p @ dp) * slope[row][seen] * scale
            dq[row] = ds @ k[head][seen]
            dk[head][seen] += np.outer(ds, q[row])
            dv[head][seen] += np.outer(p * factors, dout[row])
    return tuple(summed(x, np.shape(like)) for x, like in zip((dq, dk, dv), given, strict=True))


def summed(gradient, shape):
    """Return the sum over the query heads of a key head and over axes that were broadcast."""
    if len(shape) > 2:
        *lead, heads, rows, columns = gradient.shape
        grouped = gradient.reshape(*lead, shape[-3], heads // shape[-3], rows, columns)
        gradient = grouped.sum(axis=-3)
    full = (1,) * (gradient.ndim - len(shape)) + shape
    axes = tuple(i for i, n in enumerate(full) if n == 1 and gradient.shape[i] != 1)
    return gradient.sum(axis=axes, keepdims=True).reshape(shape)


def philox(counter, key):
    """Return Philox 4x32-10 of arrays of counters, in Python's or NumPy's own integers."""
    words, (low, high) = [np.asarray(word, np.uint64) for word in counter], key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        first, third = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [
            (third >> np.uint64(32)) ^ words[1] ^ np.uint64(low),
            third & mask,
            (first >> np.uint64(32)) ^ words[3] ^ np.uint64(high),
            first & mask,
        ]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return words


def kept_weights(shape, p, seed):
    """Return what weights (batch, heads, queries, keys) are multiplied with: 0 or 1 / (1 - p)."""
    b, h, i, j = np.indices(shape)
    words = philox((j // 4, i, h, b), (seed & 0xFFFFFFFF, seed >> 32))
    return np.where(np.choose(j % 4, words) >= round(p * 2**32), 1 / (1 - p), 0)


def lora_apply(x, a, b, scale):
    """Return x + scale B A x for each row, or scale B A x where the dimensions differ."""
    x, a, b = _float64(x, a, b)
    change = scale * (x @ a.T) @ b.T
    return x + change if a.shape[1] == len(b) else change


def lora_logits(a, b, scale, x, candidates, *, temperature, metric, adapted, threshold=0.0):
    """Return the scores of candidates with the adapted x, less the threshold, by temperature."""
    (y,) = lora_apply([x], a, b, scale)
    (c,) = _float64(candidates)
    c = lora_apply(c, a, b, scale) if adapted else c
    scores = c @ y
    if metric == "cosine":
        lengths = np.linalg.norm(c, axis=1) * np.linalg.norm(y)
        scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
    return (scores - threshold) / temperature


def lora_log_probabilities(kind, logits):
    """Return the log-probability of each label: of the candidates, or accepted and rejected."""
    if kind == "contrastive":
        return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    return -np.logaddexp(0, [-logits[0], logits[0]])


def lora_loss(kind, a, b, scale, x, candidates, *, label=0, reward=1.0, **options):
    """Return a sample's loss."""
    if kind == "regression":
        (y,) = lora_apply([x], a, b, scale)
        return reward * ((y - np.asarray(candidates[0], np.float64)) ** 2).sum() / 2
    logits = lora_logits(a, b, scale, x, candidates, **options)
    return -reward * lora_log_probabilities(kind, logits)[label]


def gradient(f, *arrays, step=1e-5):
    """Return central differences of f by each element of each array."""
    arrays = [np.array(x, np.float64) for x in arrays]
    gradients = [np.empty(np.shape(f(*arrays)) + x.shape) for x in arrays]
    for x, g in zip(arrays, gradients, strict=True):
        for i in np.ndindex(x.shape):
            kept = x[i]
            x[i] = kept + step
            above = f(*arrays)
            x[i] = kept - step
            g[(..., *i)] = (above - f(*arrays)) / (2 * step)
            x[i] = kept
    return gradients


def lora_fisher(kind, a, b, scale, x, candidates, *, reward=1.0, **options):
    """Return the diagonal of a sample's Fisher information by A and by B."""
    if kind == "regression":
        slopes = gradient(lambda a, b: lora_apply([x], a, b, scale)[0], a, b)
        return [reward * (g**2).sum(axis=0) for g in slopes]

    def log_probabilities(a, b):
        logits = lora_logits(a, b, scale, x, candidates, **options)
        return lora_log_probabilities(kind, logits)

    p = np.exp(log_probabilities(a, b))
    slopes = gradient(log_probabilities, a, b)
    return [reward * np.einsum("l,lij->ij", p, g**2) for g in slopes]


def whitening(vectors, shrinkage, power):
    """Return mean and symmetric matrix of shrinkage whitening."""
    (x,) = _float64(vectors)
    covariance = np.atleast_2d(np.cov(x.T, bias=True))
    same = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * same)
    return x.mean(axis=0), axes * values ** (-power / 2) @ axes.T
