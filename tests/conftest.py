"""Fixtures of all tests: runtimes and the real model. Hypothesis draws from a fixed seed."""

import contextlib
import gc
import os

import hypothesis
import pytest

import flashwasm as fw
from flashwasm.encoder.installed_models import locate
from flashwasm.encoder.model_installation import install
from helper_threads import runtime_with_helpers

# Examples are drawn from a fixed seed, so a run has the same result on every machine. There is no
# limit of time, neither for an example nor for its drawing, so a slow machine does not make a test
# fail. To search further, run pytest with
# `--hypothesis-profile=default --hypothesis-seed=random`.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=40,
)
hypothesis.settings.load_profile("repeatable")


# Lines of progress come by the clock, so that a slow machine would make tests of stderr fail. The
# tests of progress unset this variable.
os.environ["FLASHWASM_PROGRESS"] = "off"


def pytest_collection_finish():
    """Let the garbage collector pass over the half million objects of the collected tests.

    Tests of memory collect garbage some hundred times, which took a third of a second each.
    """
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_plugins_in_other_runs():
    """Let each pytest that a test starts load no installed plugin: Hypothesis's takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield


@pytest.fixture(scope="session", params=["relaxed", "simd128", "scalar"])
def runtime(request):
    """Return a runtime of each build of the kernels, on one thread: for tests of arithmetic."""
    with fw.Runtime(threads=1, variant=request.param) as runtime:
        yield runtime


@pytest.fixture(scope="session", params=[2, 3], ids=lambda threads: f"{threads} threads")
def _runtime_with_helpers(request):
    with runtime_with_helpers(request.param) as runtime:
        yield runtime


@pytest.fixture
def threaded_runtime(_runtime_with_helpers):
    """Return a runtime of two or three threads, and fail a test that gave the helpers no work.

    It runs the same build of the kernels as `one_thread`, so both compute the same bits.

    Work of fewer than 65,536 elements stays on the calling thread, so a test of that size does not
    test threads.
    """
    before = _runtime_with_helpers.workers.helper_tasks
    yield _runtime_with_helpers
    taken = _runtime_with_helpers.workers.helper_tasks - before
    assert taken, "no helper thread ran a task: the test is too small to be one of threads"


@pytest.fixture(scope="session")
def one_thread():
    with fw.Runtime(threads=1) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def kept_folder(request, tmp_path_factory):
    """Return a folder that lasts until the next run, or a temporary one if pytest has no cache."""
    cache = getattr(request.config, "cache", None)
    return tmp_path_factory.mktemp("flashwasm") if cache is None else cache.mkdir("flashwasm-files")


@pytest.fixture(scope="session")
def real_model(kept_folder):
    """Return the folder of the default model: the installed one, or a download that is kept.

    A test that uses it is skipped, with the reason, if there is no model.
    """
    with contextlib.suppress(fw.CapabilityError):
        return locate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASHWASM_DATA", str(kept_folder))
        patch.setenv("FLASHWASM_CACHE", str(kept_folder))
        try:
            return install()
        except fw.CapabilityError as error:
            pytest.skip(str(error))
