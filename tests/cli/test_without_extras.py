"""Commands run with only the packages of the base installation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_bert
from small_project import record_coverage, write_project

# Runs one command while the import of every other package fails, as if it were not installed.
PROGRAM = """
import re
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires


def plain(name):
    return re.split(r"[^\\w.-]", name)[0].lower().replace("_", "-")


waiting = [plain(name) for name in sys.argv.pop(1).split()]
allowed = {"flashwasm"}
while waiting:
    name = waiting.pop()
    if name in allowed:
        continue
    allowed.add(name)
    try:
        found = requires(name) or ()
    except PackageNotFoundError:
        continue
    waiting += [plain(line) for line in found if "extra ==" not in line]
providers = packages_distributions()


class BaseInstall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        owners = {plain(owner) for owner in providers.get(name.partition(".")[0], ())}
        if owners and not owners & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, BaseInstall())
from flashwasm.cli import main

main(sys.argv[1:])
"""
REPORT = """\
<testsuite><testcase classname="tests.test_cart" name="test_total">
<failure message="ValueError: bad">Traceback (most recent call last):
  File "shop/cart.py", line 2, in total
    raise ValueError("bad")
ValueError: bad</failure></testcase></testsuite>
"""
DIFF = """\
--- a/shop/text.py
+++ b/shop/text.py
@@ -1,2 +1,2 @@
 def title(text):
-    return text.title()
+    return text.upper()
"""


def base_packages():
    """Return the dependencies that pyproject.toml lists outside the extras, with blanks between."""
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8")
    listed = text.partition("\ndependencies = [")[2].partition("\n]")[0]
    return " ".join(re.findall(r'^ *"([\w-]+)', listed, re.MULTILINE))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_project(folder)
    record_coverage(folder)
    (folder / "report.xml").write_text(REPORT)
    (folder / "change.diff").write_text(DIFF)
    (folder / "tests" / "test_twice.py").write_text(
        "def test_one():\n    assert max(1, 2) == 2\n\ndef test_two():\n    assert max(1, 2) == 2\n"
    )
    return folder


@pytest.fixture
def run(project, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(project / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(project / "data"))

    def run(*arguments):
        command = [sys.executable, "-c", PROGRAM, base_packages(), *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("duplicates . --coverage .coverage", "tests/test_twice.py::test_two"),
        ("defects cluster report.xml", "ValueError"),
        ("defects learn report.xml --library known.db --name bad", "bad"),
        ("coverage gap", "shop/limits.py"),
        ("coverage who shop/limits.py:10", "tests/test_limits.py::test_small"),
        ("similar . -q test_small --coverage .coverage", "tests/test_limits.py::test_large"),
        ("search . title", "title"),
        ("tests-for . --diff change.diff --coverage .coverage --dry-run", "test_"),
        ("index build suite . -o suite.fwi", "suite.fwi"),
        ("probe", "simd128"),
    ],
)
def test_a_command_needs_no_extra(run, arguments, named):
    result = run(*arguments.split())
    assert (result.returncode in {0, 1}, "Traceback" in result.stderr) == (True, False), result
    assert named in result.stdout, result
    assert "pip install" not in result.stderr


def test_a_page_and_the_model_name_their_extra(run, project):
    result = run("duplicates", ".", "--html", "page.html")
    assert (result.returncode, "flashwasm[qe]" in result.stderr) == (2, True)
    tiny_bert.write(project / "model")
    result = run("embed", "text", "--model", str(project / "model"))
    assert (result.returncode, "flashwasm[qe]" in result.stderr) == (2, True)


@pytest.mark.parametrize("arguments", ["similar . -q test_small", "search . title"])
def test_words_are_compared_where_the_packages_of_an_installed_model_are_missing(
    run, project, arguments
):
    tiny_bert.write(project / "data" / "models" / "all-MiniLM-L6-v2")
    result = run(*arguments.split())
    assert (result.returncode, bool(result.stdout)) == (0, True), result
    assert "note: " in result.stderr
    assert 'pip install "flashwasm[qe]"' in result.stderr


@pytest.mark.parametrize(
    "arguments",
    ["similar . --query small", "search . title", "tests-for . --diff change.diff --dry-run"],
)
def test_words_are_compared_although_embeddings_are_cached(run, project, arguments):
    """An environment with the extra has embedded the tests; this one could embed no query."""
    tiny_bert.write(project / "data" / "models" / "all-MiniLM-L6-v2")
    command = [sys.executable, "-m", "flashwasm", *arguments.split()]
    other = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert "pip install" not in other.stderr
    result = run(*arguments.split(), "--json")
    assert result.returncode == 0, result
    assert 'pip install "flashwasm[qe]"' in result.stderr + result.stdout


def test_the_blocked_imports_are_those_of_other_packages():
    program = PROGRAM.partition("from flashwasm.cli")[0]
    for module, allowed in {
        "rich": True,
        "numpy": True,
        "pytest": False,
        "hypothesis": False,
    }.items():
        command = [sys.executable, "-c", f"{program}\nimport {module}", base_packages()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == allowed, (module, done.stderr)
