"""`flashwasm mcp`, called by the client of the protocol's SDK, on the tests of a small project."""

import json
import sys
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

import flashwasm
from flashwasm.cli import main
from small_project import change_project, record_coverage, write_project

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters, stdio_client

# Two tests that do the same, and a function that no test runs.
MORE = {
    "tests/test_twice.py": """\
from shop.orders import total

def test_one():
    prices = [1, 2, 3]
    assert total(prices) == 6

def test_two():
    prices = [1, 2, 3]
    assert total(prices) == 6
""",
    "shop/refunds.py": """\
def refund(items):
    result = 0
    for item in items:
        result -= item
    return result
""",
}


def server(*arguments, cwd=None):
    """Return the parameters to start Python as a server, with the package that is tested.

    The SDK passes few variables to a server, and PYTHONPATH is not among them.
    """
    variables = {"PYTHONPATH": str(Path(flashwasm.__file__).parents[1])}
    return StdioServerParameters(
        command=sys.executable, args=arguments or ["-m", "flashwasm", "mcp"], env=variables, cwd=cwd
    )


def ask(*calls, cwd=None):
    """Start the server, make calls of tools one after another, and return their results."""

    async def session():
        async with Client(stdio_client(server(cwd=cwd))) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(session)


def command(*arguments, stdin=""):
    """Return what a command prints with --json."""
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"], input=stdin)
    assert done.exit_code in {0, 1}, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with its coverage; the file ``change.diff`` changes one line of it."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    for name, content in MORE.items():
        (folder / name).write_text(content)
    record_coverage(folder)
    (folder / "change.diff").write_text(
        change_project(folder, {"shop/orders.py": ("result = 0", "result = 0 + 0")})
    )
    return folder


def test_the_tools_are_listed_with_the_types_of_their_answers():
    async def session():
        async with Client(stdio_client(server())) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(session)}
    expected = {"similar", "duplicates", "tests_for", "defects_match", "coverage_gap"}
    assert tools.keys() == expected
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert all("description" in p for p in tool.input_schema["properties"].values())
        assert tool.output_schema["properties"]


def test_every_tool_gives_the_answer_of_its_command(project, tmp_path):
    library, report = tmp_path / "library.db", tmp_path / "failure.txt"
    report.write_text(
        "Traceback (most recent call last):\n"
        f'  File "{project / "shop" / "orders.py"}", line 7, in total\n    result = 1 / 0\n'
        "ZeroDivisionError: division by zero\n"
    )
    learn = ("defects", "learn", report, "--library", library, "--name", "zero")
    command(*learn)
    suite, data = str(project / "tests"), str(project / ".coverage")
    diff = (project / "change.diff").read_text()
    calls = [
        (
            ("similar", {"path": suite, "query": "total of prices", "count": 3}),
            ["similar", suite, "--query", "total of prices", "-k", 3, "--explain"],
        ),
        (("duplicates", {"path": suite}), ["duplicates", suite, "--explain"]),
        (
            ("tests_for", {"path": suite, "diff": diff, "coverage": data}),
            ["tests-for", suite, "--diff", "-", "--coverage", data, "--explain"],
        ),
        (
            ("defects_match", {"library": str(library), "report": report.read_text()}),
            ["defects", "match", str(report), "--library", str(library), "--explain"],
        ),
        (
            ("coverage_gap", {"coverage": data, "root": str(project), "count": 2}),
            ["coverage", "gap", "--coverage", data, "--root", str(project), "-k", 2],
        ),
    ]
    for result, (call, arguments) in zip(ask(*(c for c, _ in calls)), calls, strict=True):
        assert not result.is_error, result.content
        expected = command(*arguments, stdin=diff if call[0] == "tests_for" else "")
        assert result.structured_content == expected, call[0]
        assert json.loads(result.content[0].text) == expected
        assert any(
            expected.get(name) for name in ("matches", "groups", "tests", "failures", "gaps")
        )


def test_errors_are_those_of_the_command_and_the_server_goes_on(project, tmp_path):
    missing, suite = str(tmp_path / "missing"), str(project / "tests")
    results = ask(
        ("duplicates", {"path": missing}),
        ("tests_for", {"path": suite}),
        ("tests_for", {"path": suite, "diff": "no diff"}),
        ("similar", {"path": suite, "query": "x", "count": 0}),
        ("defects_match", {"library": missing}),
        ("duplicates", {"path": suite}),
    )
    assert [result.is_error for result in results] == [True] * 5 + [False]
    said = [result.content[0].text for result in results]
    assert missing in said[0]
    assert "diff or since" in said[1]
    assert "diff" in said[2]
    assert "count" in said[3]
    assert "report or files" in said[4]


def test_modules_of_the_working_folder_are_not_imported(tmp_path):
    """A project may have files that are named as modules of the standard library are."""
    for name in ("json", "click", "flashwasm", "dataclasses"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert 1\n")
    code = "import sys; del sys.path[0]; from flashwasm.cli import main; main(['mcp'])"

    async def session():
        async with Client(stdio_client(server("-c", code, cwd=tmp_path))) as client:
            return await client.call_tool("similar", {"path": ".", "query": "one"})

    result = anyio.run(session)
    assert not result.is_error, result.content
    assert result.structured_content["matches"][0]["nodeid"] == "test_one.py::test_one"
