"""Attention, its log-sum-exp and its gradient, compared with JAX's at its highest precision."""

import functools
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import flashwasm as fw
from checkout import HELPERS
from flashwasm.oracles import reference
from sample_arrays import normal

# JAX compiles a program for each problem, which takes most of the time.
pytestmark = pytest.mark.slow

CHILD = HELPERS / "jax_attention.py"
NAMES = ("out", "lse", "dq", "dk", "dv")
HEADS = 4

# No length is a multiple of a tile or a block.
SIZES = [(61, 77, 40), (130, 130, 64), (200, 333, 32)]

# The package's options, and the options of JAX that mean the same.
OPTIONS = {
    "full": ({}, {}),
    "causal": ({"causal": "top_left"}, {"is_causal": True}),
    "window": ({"window": (37, 11)}, {"local_window_size": (37, 11)}),
    "causal window": (
        {"window": (50, 0), "causal": "top_left"},
        {"local_window_size": (50, 0), "is_causal": True},
    ),
    "mask": ({}, {}),
    "bias": ({}, {}),
    "one key head": ({}, {}),
    "two key heads": ({"causal": "top_left"}, {"is_causal": True}),
}


NAMES_OF_PROBLEMS = [f"{name} {size[0]}x{size[1]}" for name in OPTIONS for size in SIZES]


@functools.cache
def problems():
    """Return each problem by its name. Importing this file makes none."""
    made = [problem(name, size) for name in OPTIONS for size in SIZES]
    return dict(zip(NAMES_OF_PROBLEMS, made, strict=True))


def problem(name, size):
    """Return q, k, v and dout, the package's options, and the further arguments of JAX."""
    queries, keys, dim = size
    key_heads = {"one key head": 1, "two key heads": 2}.get(name, HEADS)
    operands = (
        normal(1, HEADS, queries, dim),
        normal(1, key_heads, keys, dim, seed=1),
        normal(1, key_heads, keys, dim, seed=2),
        normal(1, HEADS, queries, dim, seed=3),
    )
    ours, theirs = OPTIONS[name]
    mask = bias = None
    if name == "mask":
        mask = normal(1, HEADS, queries, keys, seed=4) > 0
    elif name == "bias":
        bias = normal(1, HEADS, queries, keys, seed=4)
    ours = ours | {"mask": mask if bias is None else bias}
    visible = ~np.isneginf(reference.attention_scores(*operands[:2], **ours))
    return operands, ours, (visible, mask, bias, tuple(theirs.items()))


@pytest.fixture(scope="session")
def jax_results(tmp_path_factory, kept_folder):
    """Return JAX's results for each problem."""
    folder = tmp_path_factory.mktemp("jax")
    asked = [(*operands, *theirs) for operands, _, theirs in problems().values()]
    (folder / "problems").write_bytes(pickle.dumps(asked))
    done = subprocess.run(
        [sys.executable, str(CHILD), str(folder / "problems"), str(folder / "results")],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            # The next run uses the compiled programs again, unless JAX or a problem has changed.
            "JAX_COMPILATION_CACHE_DIR": str(kept_folder / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
    )
    assert done.returncode == 0, done.stderr
    results = pickle.loads((folder / "results").read_bytes())  # noqa: S301 - the child process wrote it.
    return dict(zip(NAMES_OF_PROBLEMS, results, strict=True))


@pytest.mark.parametrize("name", NAMES_OF_PROBLEMS)
def test_no_further_from_float64_than_jax(jax_results, one_thread, name):
    (q, k, v, dout), options, _ = problems()[name]
    out, lse = fw.attention(q, k, v, return_lse=True, runtime=one_thread, **options)
    ours = fw.attention_backward(dout, q, k, v, out, lse, runtime=one_thread, **options)
    expected = (
        *reference.attention(q, k, v, **options),
        *reference.attention_backward(dout, q, k, v, **options),
    )
    for which, *results in zip(NAMES, expected, (out, lse, *ours), jax_results[name], strict=True):
        assert all(np.isfinite(x).all() for x in results), which
        right, actual, theirs = results
        error, their_error = (np.abs(x - right).max() for x in (actual, theirs))
        assert error <= 2 * their_error + 1e-6, f"{which}: {error:.3g}, JAX {their_error:.3g}"
