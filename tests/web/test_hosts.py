"""The minimal hosts in hosts/ get the bytes that Python gets."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import wasmtime

import golden_cases
from bench.node_process import packaged_node
from checkout import ROOT, SOURCE

HOSTS = ROOT / "hosts"
# Both hosts compute this case.
CASE = "attention: causal, grouped heads"


def golden(variant):
    return golden_cases.read()["digests"][variant][CASE]


def module(variant):
    return SOURCE / "_wasm" / f"{variant}.wasm"


@pytest.mark.parametrize("variant", golden_cases.VARIANTS)
def test_the_host_in_node(variant, node):
    if variant == "relaxed" and packaged_node() is None:
        pytest.skip("`make bench-peers` installs a Node that is known to have relaxed SIMD")
    command = [node, HOSTS / "node" / "attention.mjs", module(variant)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == golden(variant)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Compile the host in C, and link it with the library in the Python package wasmtime."""
    compiler = shutil.which("cc")
    if compiler is None and os.environ.get("CI") == "true":
        script = ROOT / ".ci" / "setup-clang"
        compiler = subprocess.run(
            [script], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
    library = next(Path(wasmtime.__file__).parent.glob("*/_libwasmtime.so"), None)
    if compiler is None or library is None:
        pytest.skip("there is no C compiler, or no library that it can link")
    path = tmp_path_factory.mktemp("hosts") / "attention"
    options = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-Wl,-rpath,{library.parent}"]
    linked = [f"-L{library.parent}", f"-l:{library.name}", "-lm"]
    source = HOSTS / "c" / "attention.c"
    subprocess.run([compiler, *options, source, "-o", path, *linked], check=True)
    return path


@pytest.mark.parametrize("variant", golden_cases.VARIANTS)
def test_the_host_in_c(variant, program):
    written = subprocess.run([program, module(variant)], check=True, capture_output=True).stdout
    assert hashlib.sha256(written).hexdigest() == golden(variant)


def test_the_host_in_c_says_what_is_wrong(program, tmp_path):
    (tmp_path / "not.wasm").write_bytes(b"nothing")
    done = subprocess.run(
        [program, tmp_path / "not.wasm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not.wasm: " in done.stderr
