"""A call of every operation, for tests that all must pass, and a child process that runs code."""

import os
import subprocess
import sys

import numpy as np

import flashwasm as fw
from checkout import ROOT
from sample_arrays import normal

TABLE, IDS = normal(50, 24), np.arange(12) * 4
ANGLES = np.cos(normal(1, 12, 4)), np.sin(normal(1, 12, 4))


def product_of_codes(*, runtime=None, **options):
    """Call matmul_i8 with a matrix of codes that is created for the call."""
    return fw.matmul_i8(normal(12, 30), fw.Int8Matrix(normal(30, 24), runtime=runtime), **options)


OPERATIONS = {
    "matmul": lambda **o: fw.matmul(normal(12, 30), normal(30, 24), **o),
    "matmul_i8": product_of_codes,
    "vecadd": lambda **o: fw.vecadd(normal(12, 24), normal(12, 24, seed=1), **o),
    "softmax": lambda **o: fw.softmax(normal(12, 24), **o),
    "layer_norm": lambda **o: fw.layer_norm(normal(12, 24), **o),
    "rms_norm": lambda **o: fw.rms_norm(normal(12, 24), **o),
    "gelu": lambda **o: fw.gelu(normal(12, 24), **o),
    "embedding": lambda **o: fw.embedding(IDS, TABLE, **o),
    "rotary_embedding": lambda **o: fw.rotary_embedding(normal(1, 3, 12, 8), *ANGLES, **o),
    "mean_pool": lambda **o: fw.mean_pool(normal(12, 24), [0, 5, 12], **o),
    "cosine_top_k": lambda **o: fw.cosine_top_k(normal(5, 24), TABLE, 7, **o),
    "attention": lambda **o: fw.attention(normal(2, 12, 24), *normal(2, 2, 12, 24), **o),
    "attention_backward": lambda **o: fw.attention_backward(
        *normal(4, 2, 12, 24), normal(2, 12, 24), normal(2, 12) + 4, **o
    ),
}
WITH_OUT = sorted(OPERATIONS.keys() - {"attention_backward", "cosine_top_k"})


def in_child(code, *, timeout=600, status=0, **environment):
    """Run code in a new interpreter, and return its output; fail if it dies or hangs.

    It must end with the given status, which is 0 unless the code ends otherwise on purpose.
    """
    prelude = "import numpy as np\nimport flashwasm as fw\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", prelude + code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def measured_in_child(module, call):
    """Return the value, as text, of a call of a module's function in a new interpreter.

    In the tests' own process, threads of other tests' fixtures open and close files.
    """
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    return in_child(f"{path}from {module} import *\nprint({call})").strip()
