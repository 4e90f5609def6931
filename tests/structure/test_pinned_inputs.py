"""Exact versions of all downloads of continuous integration: packages, compiler, Node modules."""

import json
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from checkout import ROOT

tomllib = pytest.importorskip("tomllib", reason="it came with Python 3.11")
LINES = (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
PINS = [Requirement(line) for line in LINES if not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def test_each_constraint_is_one_version():
    for pin in PINS:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
    names = [canonicalize_name(pin.name) for pin in PINS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "line",
    [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(line for extra in EXTRAS.values() for line in extra),
    ],
)
def test_each_requirement_is_pinned_to_a_version_that_it_allows(line):
    """Continuous integration runs on Python 3.11."""
    requirement = Requirement(line)
    marker = requirement.marker
    if requirement.name == PROJECT["project"]["name"]:
        assert requirement.extras <= EXTRAS.keys()
    elif marker is None or marker.evaluate({"python_version": "3.11"}):
        (pin,) = (
            p for p in PINS if canonicalize_name(p.name) == canonicalize_name(requirement.name)
        )
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("=="))


def test_the_compiler_comes_at_one_version():
    """The packages that make the modules' bytes have versions, and emcc's is the manifest's."""
    script = (ROOT / ".ci" / "setup-emscripten").read_text("utf-8")
    manifest = json.loads((ROOT / "src/flashwasm/_wasm/manifest.json").read_text())
    assert re.search(r'^tools=\("\$\{llvm\[@\]/%/=1:19[\w.~-]+\}"\)$', script, re.MULTILINE)
    packages = re.search(r"^emscripten=\((.+)\)$", script, re.MULTILINE)[1].split()
    assert all("=" in package for package in packages)
    assert packages[0].startswith(f"emscripten={manifest['emcc']}+")


def test_node_modules_come_at_one_version_with_a_digest():
    wanted = json.loads((ROOT / "bench" / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = json.loads((ROOT / "bench" / "package-lock.json").read_text())["packages"]
    for path, package in lock.items():
        if path:
            assert package["integrity"].startswith("sha512-"), path
    for name, version in wanted.items():
        assert lock[f"node_modules/{name}"]["version"] == version
    # `npm ci` refuses the lock: packages for other systems that one of them names do not exist.
    assert "npm --prefix bench install --no-save " in (ROOT / "Makefile").read_text()
