"""What every test shares: a runtime of each kind, and Hypothesis without chance or clock."""

import contextlib

import hypothesis
import pytest

import flashwasm as fw
from flashwasm.encoder.install import install
from flashwasm.encoder.models import locate

# Examples are drawn from a fixed seed, so a run says the same on every machine; a slow machine is
# no failure. `--hypothesis-profile=default --hypothesis-seed=random` searches further.
hypothesis.settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, max_examples=40
)
hypothesis.settings.load_profile("repeatable")

# Each variant, and work split over no, even and uneven numbers of workers.
RUNTIMES = [("relaxed", 1), ("relaxed", 2), ("relaxed", 3), ("simd128", 2), ("scalar", 1)]


@pytest.fixture(scope="session", params=RUNTIMES, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def runtime(request):
    variant, threads = request.param
    with fw.Runtime(threads=threads, variant=variant) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def one_thread():
    with fw.Runtime(threads=1) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def real_model(request, tmp_path_factory):
    """Return the folder of the default model; skip the test, with the reason, where there is none.

    The model is the installed one, or else a download. pytest's cache keeps the download for the
    next run; under ``-p no:cacheprovider`` it lies in a temporary folder.
    """
    with contextlib.suppress(fw.CapabilityError):
        return locate()
    cache = getattr(request.config, "cache", None)
    folder = tmp_path_factory.mktemp("flashwasm") if cache is None else cache.mkdir("flashwasm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASHWASM_DATA", str(folder))
        patch.setenv("FLASHWASM_CACHE", str(folder))
        try:
            return install()
        except fw.CapabilityError as error:
            pytest.skip(str(error))
