"""Every workload on every backend: the right result, or an error that names the missing part."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import qe
from flashwasm.backends.hybrid import chooser, measuring
from flashwasm.backends.registry import BACKENDS, backend_named
from sample_arrays import normal

Q, K, V = normal(2, 4, 70, 16), normal(2, 2, 90, 16, seed=1), normal(2, 2, 90, 24, seed=2)
ROWS = normal(50, 16, seed=3)
LIBRARY = {f"pattern {i}": vector for i, vector in enumerate(ROWS)}
# Rounding of float32 sums of at most 90 products of standard normal numbers in another order.
TOLERANCE = 2e-5


def numbers(matches, name="index"):
    """Return the scores and weights of matches, with their names as numbers."""
    rows = [(int(str(getattr(m, name)).split()[-1]), m.score, m.weight) for m in matches]
    return np.float32(rows)


def adapted(attention):
    """Return a pattern after one step; nothing where the workload has no adaptation."""
    if not qe.QE_SONA_CONFIG[attention.workload].enabled:
        with pytest.raises(fw.CapabilityError, match="adaptation is not enabled"):
            attention.adapt_pattern(ROWS[0])
        return np.zeros(0, np.float32)
    return attention.adapt_pattern(ROWS[0], ROWS[1]).pattern


CALLS = {
    "flash attention": lambda a: a.compute_flash_attention(Q, K, V),
    "baseline attention": lambda a: a.compute_baseline_attention(Q, K, V),
    "test similarity": lambda a: numbers(a.compute_test_similarity(ROWS[7], ROWS)),
    "defects": lambda a: numbers(a.match_defect_pattern(ROWS[7], LIBRARY, 5), "pattern"),
    "coverage": lambda a: numbers(a.search_coverage(ROWS[7], ROWS)),
    "index of coverage": lambda a: numbers(a.search_coverage(ROWS[7], a.index_coverage(ROWS))),
    "mean of code": lambda a: a.generate_code_embedding(ROWS, ROWS[0]),
    "attention of code": lambda a: a.generate_code_embedding(ROWS, ROWS[0], None, "attention"),
    "adaptation": adapted,
}


@pytest.fixture(autouse=True)
def own_timings(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    chooser.forget()
    yield
    chooser.forget()


def missing(backend):
    """Return the message of the error with which a backend says that it cannot run here."""
    if backend not in {"wasm-simd", "hybrid"}:
        try:
            backend_named(backend)
        except fw.CapabilityError as error:
            return str(error)
    return None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workload", qe.WORKLOADS)
def test_each_workload_on_each_backend(workload, backend):
    settings = {"backend": backend, "blocks": {"kv_chunk_size": 64, "query_chunk_size": 32}}
    message = missing(backend)
    if message is not None:
        with pytest.raises(fw.CapabilityError) as caught:
            qe.create_qe_flash_attention(workload, settings)
        assert str(caught.value) == message
        return
    with (
        qe.create_qe_flash_attention(workload, settings) as attention,
        qe.create_qe_flash_attention(workload, {**settings, "backend": "wasm-simd"}) as sandbox,
    ):
        for name, call in CALLS.items():
            found, expected = call(attention), call(sandbox)
            np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE, err_msg=name)
        metrics = attention.get_metrics()
        assert metrics.backend == backend
        same = "same sandbox" if backend == "wasm-simd" else f"same backend ({backend})"
        assert same in metrics.baseline
        if backend == "wasm-simd":
            assert metrics.backend_calls == {}
        elif backend != "hybrid":
            assert metrics.backend_calls.keys() == {backend}
            assert metrics.backend_calls[backend] > 20
        attention.reset_metrics()
        assert attention.get_metrics().backend_calls == {}
