"""The kernels as native code under sanitizers, on a part of the tests of operations.

`make sanitize` runs all of them. The tests require a clang, which FLASHWASM_CLANG names. If
CI=true, they download the toolchain.
"""

import os
import re
import subprocess

import pytest
from fuzz_kernels import fuzz
from native_build import build_library
from native_suite import FOLDERS, run_tests

from checkout import ROOT

# Faults that planted_faults.py commits, and how the sanitizer's report names each.
FAULTS = {
    "overrun": "use-after-poison",
    "freed": "use-after-poison",
    "misaligned": "misaligned address",
}
EVERY = 96  # One test of so many runs here.

pytestmark = pytest.mark.slow


def clang():
    """Return the path of the compiler, or skip the test outside of continuous integration."""
    found = os.environ.get("FLASHWASM_CLANG", "")
    if not found and os.environ.get("CI") == "true":
        script = ROOT / ".ci" / "setup-clang"
        found = subprocess.run(
            [script], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
    if not found:
        pytest.skip("FLASHWASM_CLANG names no clang (see .ci/setup-clang)")
    return found


def test_sanitizers_find_planted_faults_and_none_in_the_kernels(tmp_path):
    compiler = clang()
    for variant in ("relaxed", "scalar"):
        build_library(compiler, variant, tmp_path)

    def outcome(*arguments, **variables):
        """Return the exit status of a run of tests, and all that it printed."""
        with (tmp_path / "printed").open("w+") as output:
            arguments = [*arguments, "-q", "-p", "no:cacheprovider"]
            status = run_tests(compiler, tmp_path, arguments, output, **variables)
            output.seek(0)
            return status, output.read()

    for fault, report in FAULTS.items():
        status, printed = outcome(f"tests/sanitizers/planted_faults.py::test_{fault}")
        assert status < 0 or status == 1, fault
        assert report in printed, printed
    status, printed = outcome(*FOLDERS, "-m", "not slow", FLASHWASM_NATIVE_EVERY=str(EVERY))
    assert status == 0, printed[-8000:]
    assert re.search(r"native calls: [1-9]\d\d", printed), printed[-800:]


def test_random_sizes_and_strides_find_no_fault(tmp_path):
    limits = ("-runs=2000", "-seed=1")
    assert fuzz(clang(), "relaxed", "operations", tmp_path, *limits) == 0
