"""Backends that some machines lack: their tests are skipped there, but CI must have a GPU."""

import os

import pytest

import flashwasm as fw
from flashwasm.backends.registry import backend_named


def backend_or_skip(name):
    """Return the process's backend with a name, or skip the test with the reason.

    With the environment variable FLASHWASM_GPU_TESTS set to "required", as .ci/run sets it, a
    missing GPU is an error.
    """
    try:
        return backend_named(name)
    except fw.CapabilityError as error:
        if name == "gpu" and os.environ.get("FLASHWASM_GPU_TESTS") == "required":
            raise
        pytest.skip(str(error))
