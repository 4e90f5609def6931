"""What every test shares: a runtime of each kind, and Hypothesis without chance or clock."""

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
def real_model(request):
    """Folder of the default model: the installed one, else a download that pytest's cache keeps."""
    try:
        return locate()
    except fw.CapabilityError:
        pass
    with pytest.MonkeyPatch.context() as patch:
        folder = request.config.cache.mkdir("flashwasm")
        patch.setenv("FLASHWASM_DATA", str(folder))
        patch.setenv("FLASHWASM_CACHE", str(folder))
        try:
            return install()
        except fw.CapabilityError as error:
            pytest.skip(str(error))
