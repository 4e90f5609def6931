"""`flashwasm mcp`, called by the client of the protocol's SDK, on the tests of NumPy."""

import difflib
import json
import subprocess
import sys
from pathlib import Path

import anyio
import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters, stdio_client

# Of NumPy's tests those of one module, so that a few seconds are enough.
TESTS = Path(np.__file__).parent / "polynomial" / "tests" / "test_polyutils.py"
PRODUCT = TESTS.parents[1] / "polyutils.py"
# coverage.py measures the package in the working folder, not those that are installed.
MEASURED = Path(fw.__file__).parent
RUN = [sys.executable, "-m", "flashwasm"]


def ask(*calls, cwd=None):
    """Start the server, make calls of tools one after another, and return their results."""

    async def session():
        parameters = StdioServerParameters(command=RUN[0], args=[*RUN[1:], "mcp"], cwd=cwd)
        async with Client(stdio_client(parameters)) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(session)


def command(*arguments, stdin=""):
    """Return what a command prints with --json."""
    done = CliRunner().invoke(main, [*map(str, arguments), "--json"], input=stdin)
    assert done.exit_code in {0, 1}, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def diff():
    """A change of one line of NumPy, as a diff."""
    old = PRODUCT.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(old) if line.startswith("    off = "))
    new = [*old[:place], old[place].replace("off = ", "off = 1 + "), *old[place + 1 :]]
    return "".join(difflib.unified_diff(old, new, f"a/{PRODUCT}", f"b/{PRODUCT}"))


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Coverage of a file of NumPy's tests."""
    path = tmp_path_factory.mktemp("coverage") / "data"
    arguments = [str(TESTS), f"--fw-record={path}"]
    plugins = ["-p", "flashwasm.pytest_plugin", "-p", "no:cacheprovider", "-q"]
    subprocess.run([sys.executable, "-m", "pytest", *plugins, *arguments], check=True, timeout=300)
    return path


def test_the_tools_are_listed_with_the_types_of_their_answers():
    async def session():
        parameters = StdioServerParameters(command=RUN[0], args=[*RUN[1:], "mcp"])
        async with Client(stdio_client(parameters)) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(session)}
    expected = {"similar", "duplicates", "tests_for", "defects_match", "coverage_gap"}
    assert tools.keys() == expected
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert all("description" in p for p in tool.input_schema["properties"].values())
        assert tool.output_schema["properties"]


def test_every_tool_gives_the_answer_of_its_command(diff, database, tmp_path):
    library, report = tmp_path / "library.db", tmp_path / "failure.txt"
    report.write_text(
        "Traceback (most recent call last):\n"
        f'  File "{PRODUCT}", line 300, in mapparms\n    off = old[1] / 0\n'
        "ZeroDivisionError: division by zero\n"
    )
    learn = ("defects", "learn", report, "--library", library, "--name", "zero")
    command(*learn)
    suite, data = str(TESTS), str(database)
    calls = [
        (
            ("similar", {"path": suite, "query": "division by zero", "count": 3}),
            ["similar", suite, "--query", "division by zero", "-k", 3, "--explain"],
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
            ("coverage_gap", {"coverage": data, "root": str(MEASURED), "count": 2}),
            ["coverage", "gap", "--coverage", data, "--root", str(MEASURED), "-k", 2],
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


def test_errors_are_those_of_the_command_and_the_server_goes_on(tmp_path):
    missing, suite = str(tmp_path / "missing"), str(TESTS)
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
        parameters = StdioServerParameters(command=sys.executable, args=["-c", code], cwd=tmp_path)
        async with Client(stdio_client(parameters)) as client:
            return await client.call_tool("similar", {"path": ".", "query": "one"})

    result = anyio.run(session)
    assert not result.is_error, result.content
    assert result.structured_content["matches"][0]["nodeid"] == "test_one.py::test_one"
