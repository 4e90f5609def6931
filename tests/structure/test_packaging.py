"""The wheel: it fits every platform, holds the modules, and is the same if built from the sdist."""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from checkout import ROOT, SOURCE

MODULES = SOURCE / "_wasm"
VARIANTS = ["relaxed", "scalar", "simd128"]


def build(kind, source, folder):
    """Build a wheel or an sdist from a folder of sources; return the path of the one file."""
    options = ["--no-isolation", f"--{kind}", "--outdir", folder]
    command = [sys.executable, "-m", "build", *options, source]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


def test_the_modules_have_the_digests_of_the_manifest():
    manifest = json.loads((MODULES / "manifest.json").read_text())
    assert sorted(manifest["modules"]) == VARIANTS
    for variant in VARIANTS:
        digest = hashlib.sha256((MODULES / f"{variant}.wasm").read_bytes()).hexdigest()
        assert digest == manifest["modules"][variant]["sha256"]


@pytest.mark.slow
def test_wheel_is_for_every_platform_and_holds_the_modules(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in [*(f"{variant}.wasm" for variant in VARIANTS), "manifest.json"]:
            assert archive.read(f"flashwasm/_wasm/{name}") == (MODULES / name).read_bytes()
        names = archive.namelist()
        entry_points = archive.read(next(n for n in names if n.endswith("entry_points.txt")))
    assert b"flashwasm = flashwasm.cli:main" in entry_points
    assert "flashwasm/py.typed" in names
    assert "flashwasm/qe/reports/templates/layout.html" in names
    # The wheel holds no comparison with other libraries: no Node script, no peer, no plot.
    comparing = re.compile(r"\.mjs$|peer|plot|/bench/|quality")
    assert not [name for name in names if comparing.search(name)]
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"flashwasm"}


@pytest.mark.slow
def test_wheel_works_where_it_is_installed(wheel, tmp_path):
    options = ["--quiet", "--no-deps", "--no-index", "--target", tmp_path]
    command = [sys.executable, "-m", "pip", "install", *options, wheel]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import flashwasm as fw\n"
        "assert fw.matmul([[2.0]], [[3.0]])[0, 0] == 6\n"
        "print(fw.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


@pytest.mark.slow
def test_sdist_builds_the_same_wheel(wheel, sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        # Early releases of Python 3.10 and 3.11 have no filters.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path / "source", **safely)  # noqa: S202 - it was built above.
    (source,) = (tmp_path / "source").iterdir()
    # The sdist also holds what the tests and the build of the modules need.
    for needed in (
        "wasm/abi.h",
        "wasm/tools/build.py",
        "src/flashwasm/oracles/reference/operations.py",
        "Makefile",
        "bench/node/serve.mjs",
        ".ci/run",
    ):
        assert (source / needed).is_file(), needed
    assert build("wheel", source, tmp_path / "wheel").read_bytes() == wheel.read_bytes()
