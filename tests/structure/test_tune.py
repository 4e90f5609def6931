"""`wasm/tools/tune.py` builds a module with other block sizes, checks it, and times it.

The tests require an emcc, which FLASHWASM_EMCC names. If CI=true, they download the toolchain.
"""

import os
import subprocess
import sys

import pytest

from checkout import ROOT

pytestmark = pytest.mark.slow


def emcc():
    """Return the path of the compiler, or skip the test outside of continuous integration."""
    found = os.environ.get("FLASHWASM_EMCC", "")
    if not found and os.environ.get("CI") == "true":
        script = ROOT / ".ci" / "setup-emscripten"
        found = subprocess.run(
            [script], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
    if not found:
        pytest.skip("FLASHWASM_EMCC names no emcc (see .ci/setup-emscripten)")
    return found


def test_sizes_that_fit_are_measured_and_others_are_skipped_with_the_reason():
    command = [sys.executable, ROOT / "wasm" / "tools" / "tune.py", "--emcc", emcc(), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    skipped, committed, smaller = done.stdout.splitlines()
    assert skipped == "ROW_BLOCK = 512: skipped, the workspace is too small"
    assert committed.endswith(" 100%")
    assert "K_BLOCK = 64" in smaller
