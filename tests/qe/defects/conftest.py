"""A folder for each test, and reports of a real run of pytest in each style."""

import subprocess
import sys

import pytest

LIBRARY = """
class OwnError(Exception): ...

def parse(text):
    return int(text)

def load(text):
    try:
        return parse(text)
    except ValueError as error:
        raise OwnError(f"cannot load {text!r}") from error

def total(numbers):
    return sum(numbers) / len(numbers)
"""
TESTS = """
import pytest
from shop import load, parse, total

def test_parse(): parse("x")
def test_parse_again(): parse("y")
def test_load(): load("z")
def test_total(): total([])
def test_own(): assert total([1, 3]) == 3, "it is 2"
@pytest.fixture
def broken(): return parse("")
def test_fixture(broken): pass
"""

STYLES = ["long", "short", "native", "auto", "line"]
# One interpreter runs pytest once for each style.
RUN = """
import contextlib, pytest, sys
for style in sys.argv[1:]:
    options = ["--color=yes", f"--tb={style}", f"--junitxml={style}.xml"]
    with open(f"{style}.txt", "w") as output, contextlib.redirect_stdout(output):
        pytest.main(["-p", "no:cacheprovider", *options, "test_shop.py"])
"""


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Return a folder with the output and the JUnit XML of a real pytest, for each style."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(LIBRARY)
    (folder / "test_shop.py").write_text(TESTS)
    subprocess.run(
        [sys.executable, "-c", RUN, *STYLES],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
