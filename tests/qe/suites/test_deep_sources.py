"""Sources that Python parses but cannot write: nested too deeply, or with too many digits."""

import ast
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe.suites.expressions import dotted_name, source_of

DEEP = {
    "list": "[0," * 190 + "]" * 190,
    "attributes": "a." * 900 + "b",
    "sum": "1+" * 900 + "1",
    "calls": "f" + "()" * 900,
    "number": f"0x{'f' * 6000}",
}
FUNCTIONS = "def test_a():\n    assert f(1)\ndef test_b():\n    assert f(2)\n"
# Places of an expression in a file.
PLACES = {
    "body": "def test_a():\n    assert {}\ndef test_b():\n    assert {}\n",
    "decorator": "@({}).fixture\ndef one(): return 1\n@pytest.mark.x({})\n" + FUNCTIONS,
    "base": "class TestA(({})):\n    def test_a(self):\n        assert f(1)\n",
    "condition": "if {}:\n    x = 1\nif ({}) == '__main__':\n    pass\nsetattr({}, 'a', 1)\n"
    + FUNCTIONS,
}
COMMANDS = [
    "duplicates .",
    "duplicates . --coverage .coverage",
    "similar . -q words",
    "search . words",
    "tests-for . --diff change.diff --dry-run",
    "coverage gap --coverage .coverage",
]


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Return a folder with a file of each deep expression at each place, and its coverage."""
    coverage = pytest.importorskip("coverage")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    data = coverage.CoverageData(str(tmp_path / ".coverage"))
    data.set_context("test_body_list.py::test_a|run")
    diff = []
    for name, expression in DEEP.items():
        for place, source in PLACES.items():
            file = tmp_path / f"test_{place}_{name}.py"
            file.write_text(source.replace("{}", expression))
            shutil.copy(file, file.name.replace("test_", "lib_"))
            data.add_lines({str(tmp_path / file.name.replace("test_", "lib_")): [1]})
            diff.append(f"--- a/lib_{place}_{name}.py\n+++ b/lib_{place}_{name}.py\n@@ -1 +1 @@\n")
            line = file.read_text().partition("\n")[0]
            diff.append(f"-{line} \n+{line}\n")
    data.write()
    data.close()
    (tmp_path / "change.diff").write_text("".join(diff))
    git = shutil.which("git") or pytest.skip("no git here")
    subprocess.run([git, "init", "--quiet"], check=True)
    return tmp_path


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("line", COMMANDS)
def test_deep_sources_end_no_command(line):
    result = CliRunner().invoke(main, line.split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {0, 1}, result.output


def test_tests_beside_a_deep_one_are_still_compared(tmp_path, monkeypatch):
    """A test nested 190 deep is left out, and not its file."""
    monkeypatch.chdir(tmp_path)
    same = "def test_{}():\n    assert f(1)\n"
    (tmp_path / "test_x.py").write_text(
        f"def test_a():\n    assert {DEEP['list']}\n" + same.format("b") + same.format("c")
    )
    result = CliRunner().invoke(main, ["duplicates", "."])
    assert "test_x.py::test_b" in result.output
    assert result.exit_code == 1  # There are duplicates.


@pytest.mark.parametrize(("deep", "written"), [("calls", "..."), ("number", "..."), ("list", None)])
def test_the_source_of_a_deep_expression(deep, written):
    node = ast.parse(DEEP[deep], mode="eval").body
    assert source_of(node) == (written or ast.unparse(node))


def test_a_dotted_name_may_be_of_any_length():
    text = "a." * 900 + "b"
    assert dotted_name(ast.parse(text, mode="eval").body) == text
