"""The pytest plugin, in real runs: what it adds, and that it never fails one."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from flashwasm.qe import FailureLibrary, read_failure

pytest.importorskip("sklearn")

TESTS = """\
import pytest
from shop import add_item, total_price

def test_add_item(): assert add_item([], 1) == [1]
@pytest.mark.parametrize("n", [1, 2])
def test_total_price(n): assert total_price([n]) == n
class TestEmpty:
    def test_nothing_at_all(self): assert not []
"""
SHOP = """\
def add_item(basket, item):
    return [*basket, item]

def total_price(basket):
    raise KeyError("price")
"""
DIFF = """\
--- a/shop.py
+++ b/shop.py
@@ -4,2 +4,2 @@
 def total_price(basket):
-    return sum(basket)
+    raise KeyError("price")
"""
PLUGIN = ["-p", "flashwasm.pytest_plugin"]

XDIST = pytest.mark.parametrize(
    "workers",
    [
        pytest.param([], id="alone"),
        pytest.param(["-n", "2"], id="xdist", marks=pytest.mark.slow),
    ],
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, content in {"shop.py": SHOP, "test_shop.py": TESTS, "x.diff": DIFF}.items():
        (folder / name).write_text(content)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def run(*arguments):
    """Run pytest; return its exit status and what it printed."""
    command = [sys.executable, "-m", "pytest", "-v", *PLUGIN, *map(str, arguments)]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=env
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def order(output):
    return re.findall(r"::(\w+)(?:\[\d\])? (?:PASSED|FAILED)", output)


def section(output):
    """Return the lines of the plugin's own section in the summary."""
    found = re.search(r"^=+ flashwasm =+\n(.*?)^=", output, re.MULTILINE | re.DOTALL)
    return [line for line in found[1].splitlines() if line] if found else []


@pytest.fixture
def unidiff():
    return pytest.importorskip("unidiff")


def test_silent_unless_asked():
    status, output = run()
    assert (status, section(output)) == (1, [])
    names = ["test_add_item", "test_total_price", "test_total_price", "test_nothing_at_all"]
    assert order(output) == names


def test_nothing_heavy_is_imported_unless_asked(folder):
    (folder / "test_shop.py").write_text(
        "import sys\ndef test(): assert not {'numpy', 'wasmtime', 'sklearn'} & set(sys.modules)\n"
    )
    assert run()[0] == 0


@XDIST
def test_known_defects(folder, workers):
    library = FailureLibrary(folder / "x.db", create=True)
    failure = read_failure("shop.py:5: in total_price\n    raise x\nE   KeyError: 'other'")
    library.learn("no price", [failure], resolved=True, note="issue 12")
    status, output = run("--fw-known", "x.db", *workers)
    assert status == 1
    lines = section(output)
    assert sorted(line for line in lines if not line.startswith(" ")) == [
        f"regressed: test_shop.py::test_total_price[{n}] is no price [issue 12]" for n in (1, 2)
    ]
    assert lines[1].strip().startswith("the same KeyError, and the innermost frame outside tests")
    (folder / "shop.py").write_text(SHOP.replace("KeyError", "TypeError"))
    assert section(run("--fw-known", "x.db", *workers)[1]) == [
        "new: 2 of 2 failures are of no known defect"
    ]


def test_a_run_without_failures_says_nothing(folder):
    FailureLibrary(folder / "x.db", create=True)
    status, output = run("--fw-known", "x.db", "-k", "add_item")
    assert (status, section(output)) == (0, [])


def test_the_relevant_tests_run_first(unidiff):
    assert unidiff
    status, output = run("--fw-diff", "x.diff")
    assert (status, section(output)) == (1, [])
    assert order(output)[:2] == ["test_total_price"] * 2
    assert len(order(output)) == 4


@XDIST
def test_what_is_left_out_is_named(unidiff, workers):
    assert unidiff
    status, output = run("--fw-diff", "x.diff", "--fw-select", "2", *workers)
    assert status == 1
    assert "2 failed" in output
    assert "passed" not in output
    lines = section(output)
    assert lines[0] == "2 of 4 tests were left out:"
    assert {line.rpartition("::")[2] for line in lines[1:]} == {
        "test_add_item",
        "test_nothing_at_all",
    }


def test_a_selection_by_time(unidiff, folder):
    assert unidiff
    # Nothing is known of any test yet: a tenth of a second each.
    assert "left out" in run("--fw-diff", "x.diff", "--fw-select", "0.25s")[1]
    assert len(order(run("--fw-diff", "x.diff", "--fw-select", "0.25s")[1])) >= 2
    slow = TESTS.replace("): assert total", "):\n    __import__('time').sleep(1)\n    assert total")
    (folder / "test_shop.py").write_text(slow)
    run("--fw-diff", "x.diff")
    assert order(run("--fw-diff", "x.diff", "--fw-select", "1.5s")[1]) == ["test_total_price"]


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_git_revision(unidiff, folder):
    assert unidiff

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = [shutil.which("git"), *identity, *arguments]
        subprocess.run(command, check=True, cwd=folder, capture_output=True)

    (folder / "shop.py").write_text(SHOP.replace('raise KeyError("price")', "return sum(basket)"))
    git("init", "-q")
    git("add", "shop.py", "test_shop.py")
    git("commit", "-q", "-m", "x")
    (folder / "shop.py").write_text(SHOP)
    output = run("--fw-diff", "HEAD")[1]
    assert section(output) == []
    assert order(output)[:2] == ["test_total_price"] * 2
    (folder / "shop.py").write_text(SHOP.replace('raise KeyError("price")', "return sum(basket)"))
    status, output = run("--fw-diff", "HEAD", "--fw-select", "1")
    assert section(output) == ["the diff changes nothing: the order is pytest's"]
    assert (status, len(order(output))) == (0, 4)


# What goes wrong here.


@XDIST
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--fw-diff", "no-such"], "could not order the tests: (no-such is no file|unidiff)"),
        (["--fw-diff", "shop.py"], "could not order the tests: (diff: not a unified|unidiff)"),
        (["--fw-diff", "--output=x"], "could not order the tests: (--output=x is no file|unid)"),
        (["--fw-known", "no.db"], "could not match the failures: library 'no.db' does not exist"),
        (["--fw-known", "shop.py"], "could not match the failures: shop.py is no whole library"),
    ],
    ids=["revision", "diff", "option", "library", "foreign"],
)
def test_a_fault_is_a_line(folder, arguments, line, workers):
    option, value = arguments
    status, output = run(f"{option}={value}", *workers)
    assert status == 1
    assert re.match(line, section(output)[0]), output
    assert "2 failed, 2 passed" in output
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--fw-select", "3"], "--fw-select needs --fw-diff"),
        (["--fw-diff", "x.diff", "--fw-select", "soon"], "--fw-select: budget 'soon': expected"),
    ],
)
def test_bad_usage_is_said_at_once(arguments, line):
    command = [sys.executable, "-m", "pytest", *PLUGIN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert line in done.stderr
