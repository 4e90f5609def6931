"""The wheel: it runs on every platform, contains the modules, and has the same bytes everywhere."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from checkout import ROOT, SOURCE

MODULES = SOURCE / "_wasm"
VARIANTS = ["relaxed", "scalar", "simd128"]


def build(kind, source, folder, **environment):
    """Build a wheel or an sdist from a folder of sources; return the path of the one file."""
    options = ["--no-isolation", f"--{kind}", "--outdir", folder]
    command = [sys.executable, "-m", "build", *options, source]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
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
    assert b"flashwasm = flashwasm.__main__:main" in entry_points
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


@pytest.mark.slow
def test_the_wheel_is_the_same_wherever_and_whenever_it_is_built(wheel, tmp_path):
    """Another folder, other times and permissions, another time zone and order of sets."""
    copy = tmp_path / "elsewhere" / "source"
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(SOURCE, copy / "src" / "flashwasm")
    for number, path in enumerate(sorted(copy.rglob("*"), reverse=True)):
        if path.is_file():
            path.chmod(0o600 if number % 2 else 0o664)
        os.utime(path, (1e9 + number, 1e9 + number))
    where = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    again = build("wheel", copy, tmp_path / "wheel", **where)
    assert (
        hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()
    )


# The bills of materials, in the format CycloneDX.


def digests(components):
    """Return the SHA-256 of each component that is a file, by its name."""
    files = [component for component in components if component["type"] == "file"]
    return {file["name"]: file["hashes"] for file in files}


MODULE_DIGESTS = {
    f"flashwasm/_wasm/{variant}.wasm": [
        {
            "alg": "SHA-256",
            "content": hashlib.sha256((MODULES / f"{variant}.wasm").read_bytes()).hexdigest(),
        }
    ]
    for variant in VARIANTS
}


@pytest.mark.slow
def test_the_wheel_holds_a_bill_of_its_modules(wheel):
    """It lies where PEP 770 says, and only there."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".cdx.json"))
        content = archive.read(name)
    assert re.fullmatch(r"flashwasm-[\w.]+\.dist-info/sboms/modules\.cdx\.json", name)
    bill = json.loads(content)
    assert digests(bill["components"]) == MODULE_DIGESTS
    (compiler,) = bill["metadata"]["tools"]["components"]
    manifest = json.loads((MODULES / "manifest.json").read_text())
    assert compiler == {"type": "application", "name": "emcc", "version": manifest["emcc"]}


def test_the_bill_of_materials_names_the_dependencies_and_the_modules(tmp_path):
    """`make sbom` lists what the wheel needs, no more and no less, at the versions found here."""
    pytest.importorskip("cyclonedx_py", reason="the bill is written by cyclonedx-bom")
    path = tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, ROOT / ".ci" / "sbom.py", path], check=True, capture_output=True
    )
    bill = json.loads(path.read_text())
    assert digests(bill["components"]) == MODULE_DIGESTS
    packages = {c["name"]: c["version"] for c in bill["components"] if c["type"] == "library"}
    asked = {Requirement(line) for line in metadata.requires("flashwasm")}
    direct = {r.name for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert {"numpy", "wasmtime", "click"} <= direct <= packages.keys()
    assert packages == {name: metadata.version(name) for name in packages}
    edges = {entry["ref"]: set(entry["dependsOn"]) for entry in bill["dependencies"]}
    root = bill["metadata"]["component"]["bom-ref"]
    assert edges[root] == {f"{name}=={packages[name]}" for name in direct} | MODULE_DIGESTS.keys()
    # Each package is there because the wheel needs it, directly or through another.
    reached = set()
    left = {root}
    while left:
        reached |= left
        left = set().union(*(edges.get(ref, set()) for ref in left)) - reached
    assert reached == {root} | {component["bom-ref"] for component in bill["components"]}
