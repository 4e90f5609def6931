"""Fixtures of the tests of backends."""

import pytest

from gpu_somewhere import gpu_or_skip


@pytest.fixture
def gpu():
    """Return the backend "gpu", whose parts are as large as the device takes."""
    backend = gpu_or_skip()
    yield backend
    backend.most_bytes = None
