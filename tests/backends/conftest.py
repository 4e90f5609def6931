"""The backends that tests run on. Tests of unavailable backends are skipped, with the error."""

import functools
import types

import pytest

import flashwasm as fw
from backend_somewhere import backend_or_skip
from flashwasm.backends.hybrid import chooser, measuring
from flashwasm.backends.registry import BACKENDS

OPERATIONS = ("attention", "matmul", "softmax", "layer_norm", "cosine_top_k")


@pytest.fixture(autouse=True)
def own_timings(tmp_path_factory, monkeypatch):
    """Keep the timings of hybrid in a folder of the test, and measure each call in two rounds."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    chooser.forget()
    yield
    chooser.forget()


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Return the name of each backend that can run here."""
    if request.param not in {"wasm-simd", "hybrid"}:
        backend_or_skip(request.param)
    return request.param


@pytest.fixture
def operations(backend, one_thread):
    """Return the operations by their public names, each bound to a backend."""
    bound = {
        name: functools.partial(getattr(fw, name), backend=backend, runtime=one_thread)
        for name in OPERATIONS
    }
    return types.SimpleNamespace(name=backend, **bound)


@pytest.fixture
def gpu():
    """Return the backend "gpu", whose parts are as large as the device takes."""
    backend = backend_or_skip("gpu")
    yield backend
    backend.most_bytes = None
