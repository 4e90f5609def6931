"""Attention and its gradient by JAX, in a child process: JAX's threads do not survive a fork.

    python jax_attention.py problems results

Both files are pickles. problems is a list of (q, k, v, dout, visible, mask, bias, options) with
axes (batch, heads, length, dim). results has out, log-sum-exp, dq, dk and dv for each of them.
"""

import functools
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp


def attention(q, k, v, visible, mask, bias, options):
    """Return JAX's own attention, and the log-sum-exp computed from its definition."""
    by_length = [x.swapaxes(1, 2) for x in (q, k, v)]
    out = jax.nn.dot_product_attention(*by_length, bias, mask, **dict(options)).swapaxes(1, 2)
    k = jnp.repeat(k, q.shape[1] // k.shape[1], axis=1)
    scores = jnp.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5
    scores = scores if bias is None else scores + bias
    return out, jax.nn.logsumexp(scores, axis=-1, where=visible)


@functools.partial(jax.jit, static_argnames="options")
def with_gradients(q, k, v, dout, visible, mask, bias, options):
    def loss(q, k, v):
        out, lse = attention(q, k, v, visible, mask, bias, options)
        return (dout * out).sum(), (out, lse)

    gradients, results = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(q, k, v)
    return (*results, *gradients)


if __name__ == "__main__":
    problems = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - the tests' own.
    with jax.default_matmul_precision("highest"):
        results = [tuple(map(jax.device_get, with_gradients(*problem))) for problem in problems]
    Path(sys.argv[2]).write_bytes(pickle.dumps(results))
