"""The backend "gpu" for tests: skipped without an adapter, or an error where CI requires one."""

import os

import pytest

import flashwasm as fw
from flashwasm.backends.registry import backend_named


def gpu_or_skip():
    """Return the process's backend, or skip the test with the reason.

    With the environment variable FLASHWASM_GPU_TESTS set to "required", as .ci/run sets it, a
    missing adapter is an error.
    """
    try:
        return backend_named("gpu")
    except fw.CapabilityError as error:
        if os.environ.get("FLASHWASM_GPU_TESTS") == "required":
            raise
        pytest.skip(str(error))
