"""Embeddings of an invented suite, which feedback can improve."""

import numpy as np

from bench.adaptation import feedback as bench

DIM = 32


def classes(files=60):
    """Return labelled vectors, similar within a class but with strong noise in a few directions."""
    rng = np.random.default_rng(0)
    rows, names = [], []
    noise = np.linalg.qr(rng.standard_normal((DIM, 6)))[0]
    for file in range(files):
        for one in "AB":
            centre = rng.standard_normal(DIM)
            for test in range(4):
                loud = 3.0 * noise @ rng.standard_normal(6)
                rows.append(centre + loud + 0.3 * rng.standard_normal(DIM))
                names.append(f"test_{file}.py::Test{one}::test_{test}")
    return bench.labels(np.array(rows, np.float32), names)
