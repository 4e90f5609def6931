"""The folders of the checkout: its top level, and a folder of tests for each folder of code."""

import ast
import re

import pytest

from checkout import ROOT, SOURCE, TESTS
from source_code import place, tree

CHANGES = SOURCE / "qe" / "changes"
# Files and folders at the top of the checkout, without those whose names begin with a dot.
TOP = {
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "mkdocs.yml",
    "SECURITY.md",
    "bench",
    "docs",
    "hosts",
    "pyproject.toml",
    "src",
    "tests",
    "wasm",
    "web",
}
# Folders of tests that mirror no folder of the package, and their subjects.
OTHER_TESTS = {
    "abuse": "what crosses packages: short memory, ended calls, wrong arguments, damaged files",
    "bench": "bench/ and flashwasm.benchmarks",
    "docs": "docs/ and README.md",
    "fuzz": "every reader of a file, with changed files",
    "helpers": "what several test files import",
    "sanitizers": "wasm/, compiled for this machine",
    "structure": "the layout of the code, and what is shipped",
    "web": "web/ in Chromium and in Node, and hosts/",
}
# Folders of the package without a folder of tests, and the tests that cover them.
COVERED_ELSEWHERE = {
    "_wasm": "built files; tests/structure/test_kernel_table.py",
    "benchmarks": "tests/bench",
    "flash_attention": "tests/attention",
    "oracles": "every test of a kernel; tests/ops/test_onnx.py holds them to ONNX's data",
    "qe/inspection": "tests/qe/index_files, tests/cli",
}


def folders(path):
    inside = (p for p in path.iterdir() if p.is_dir() and not p.name.startswith("_"))
    return {p.name for p in inside if any(p.rglob("*.py"))}


def test_the_top_of_the_checkout():
    ignored = {"build", "dist", "node_modules"}
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - ignored
    assert found == TOP


def test_each_folder_of_the_package_has_its_folder_of_tests():
    missing = folders(SOURCE) - folders(TESTS) - COVERED_ELSEWHERE.keys()
    assert not missing, f"no tests/{sorted(missing)}"
    subjects = {
        f"{folder}/{name}"
        for folder in ("qe", "qe/changes")
        for name in folders(SOURCE / folder) - folders(TESTS / folder)
    }
    assert not subjects - COVERED_ELSEWHERE.keys()
    known = folders(SOURCE) | OTHER_TESTS.keys() | {"attention"}
    assert folders(TESTS) <= known, folders(TESTS) - known


def test_no_test_file_lies_beside_the_folders():
    assert {p.name for p in TESTS.glob("*.py")} == {"conftest.py"}


def test_the_paths_that_the_architecture_names_exist():
    """docs/architecture.md answers a newcomer's questions by paths, each of which exists."""
    section = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("## Where is it?\n")[1]
    rows = re.findall(r"^\| (.+\?) \| (.+) \|$", section, re.MULTILINE)
    assert len(rows) >= 20
    for question, answer in rows:
        paths = re.findall(r"`([\w./*-]+)`", answer)
        assert paths, question
        for path in paths:
            assert list(ROOT.glob(path.rstrip("/"))), f"{question} {path}"


def test_the_files_that_the_pages_of_promises_name_exist():
    """SECURITY.md and docs/reliability.md name the tests that hold each promise."""
    for page in (ROOT / "SECURITY.md", ROOT / "docs" / "reliability.md"):
        paths = re.findall(r"`([\w.-]+(?:/[\w.-]+)+)`", page.read_text("utf-8"))
        assert len(paths) >= 5
        missing = [path for path in paths if not (ROOT / path).exists()]
        assert not missing, f"{page.name} names {missing}"


@pytest.mark.parametrize("name", ["", *sorted(folders(CHANGES))])
def test_the_maps_of_the_package_of_changes_name_every_module_and_folder(name):
    folder = CHANGES / name
    contents = {path.stem for path in folder.glob("*.py")} - {"__init__"} | folders(folder)
    named = set(re.findall(r"`(\w+)`", ast.get_docstring(tree(folder / "__init__.py"))))
    assert named == contents, f"name each module and folder in {place(folder)}/__init__.py"
