"""Annotations of GitHub: one line each, with all text escaped."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from coverage_data import index_of
from flashwasm.cli import main
from flashwasm.cli.github import Annotation, repository_root

TWICE = "def test_one(): assert f(1)\n@slow\ndef test_two():\n    assert f(2)\ndef test_six(): {}\n"


@pytest.mark.parametrize(
    ("text", "data", "value"),
    [
        ("plain", "plain", "plain"),
        ("50%: a, b", "50%25: a, b", "50%25%3A a%2C b"),
        ("one\ntwo\r\n", "one%0Atwo%0D%0A", "one%0Atwo%0D%0A"),
        ("%0A::warning::x", "%250A::warning::x", "%250A%3A%3Awarning%3A%3Ax"),
    ],
)
def test_texts_are_escaped_as_the_runner_reads_them(text, data, value):
    line = Annotation("warning", Path("/r/a,b.py"), 3, 5, text, text).command(Path("/r"))
    assert line == f"::warning file=a%2Cb.py,line=3,endLine=5,title={value}::{data}"
    assert (
        Annotation("notice", Path("/x.py"), 1, 1, "t", "m")
        .command(Path("/r"))
        .startswith("::notice file=/x.py,")
    )


def test_paths_start_at_the_root_of_the_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    # In a worktree of git, .git is a file.
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    suite = tmp_path / "pkg" / "tests"
    suite.mkdir(parents=True)
    (suite / "test_x.py").write_text(TWICE.replace("@slow\n", ""))
    (tmp_path / "pkg" / "lib.py").write_text("def f(x):\n    y = x\n    return y\n")
    index_of({"t.py::a|run": {"lib.py": [1, 2]}}).save(tmp_path / "pkg" / "coverage.fw")
    monkeypatch.chdir(tmp_path / "pkg")
    assert repository_root(suite) == tmp_path
    result = CliRunner().invoke(main, ["duplicates", "tests", "--format", "github"])
    (line,) = result.stdout.splitlines()
    assert result.exit_code == 1
    assert line.startswith(
        "::warning file=pkg/tests/test_x.py,line=2,endLine=3,title=identical but for literals::"
    )
    assert "test_two" in line
    gap = ["coverage", "gap", "--coverage", "coverage.fw", "--format", "github"]
    assert CliRunner().invoke(main, gap).stdout == (
        "::notice file=pkg/lib.py,line=3,endLine=3,title=no test runs these lines::"
        "f: no test runs line 3; extend t.py::a.\n"
    )


def test_json_is_a_format_too(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("test_x.py").write_text(TWICE)

    def invoke(*options):
        return CliRunner().invoke(main, ["duplicates", ".", *options])

    assert invoke("--json").stdout == invoke("--format", "json").stdout
    result = invoke("--json", "--format", "github")
    assert (result.exit_code, "exclude each other" in result.stderr) == (2, True)
    Path("pyproject.toml").write_text("[tool.flashwasm.duplicates]\nformat = 'github'\n")
    assert invoke("--json").stdout.startswith("{")
    Path("pyproject.toml").write_text("[tool.flashwasm.duplicates]\njson = true\n")
    assert not invoke("--format", "github").stdout.startswith("{")
