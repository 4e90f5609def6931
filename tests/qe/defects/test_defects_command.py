"""`flashwasm defects`: cluster, match and learn."""

import json
import re

import pytest
from click.testing import CliRunner

from failures import caught, failure
from flashwasm.cli import main
from flashwasm.qe import FailureLibrary


def implicitly_chained():
    try:
        {}["missing"]
    except KeyError:
        [].pop(1)


def invoke(*arguments):
    result = CliRunner().invoke(main, ["defects", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_cluster_learn_and_match(folder, reports):
    report = reports / "long.xml"
    result = invoke("cluster", report)
    assert result.exit_code == 1
    assert re.match(r"3  ValueError, and the innermost frame", result.stdout)
    assert json.loads(invoke("cluster", report, "--json").stdout)["failures"] == 6

    single = folder / "one.txt"
    single.write_text(caught(implicitly_chained))
    learn = ["learn", "--library", "x.db", "--name"]
    assert invoke(*learn, "first", single, "--resolved").exit_code == 0
    result = invoke("match", report, "--library", "x.db")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "no failure is of a defect in the library"
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["new"] * 6
    document = json.loads(invoke(*learn, "all", report, "--json").stdout)
    assert (document["added"], document["defects"]) == (6, 2)
    document = json.loads(invoke("match", report, single, "--library", "x.db", "--json").stdout)
    assert [one["status"] for one in document["failures"]] == ["known"] * 6 + ["regressed"]
    match = ["match", report, "--library", "x.db"]
    assert invoke(*match).exit_code == 1
    assert invoke(*match, "--fail-on", "new,regressed,perhaps").exit_code == 0
    assert invoke(*match, single, "--fail-on", "new,regressed").exit_code == 1
    assert invoke(*match, "--exit-zero").exit_code == 0
    assert invoke("cluster", report, "--exit-zero").exit_code == 0
    assert invoke(*match, "--fail-on", "old").exit_code == 2


@pytest.mark.parametrize("command", ["cluster", "match"])
def test_failures_that_cannot_be_read_are_findings(folder, command):
    """pytest counts two failures, of which the text shows one: it must not end with status 0."""
    text = f"==== FAILURES ====\n____ test_a ____\n{caught(implicitly_chained)}"
    (folder / "out.txt").write_text(f"{text}\n==== 2 failed in 0.01s ====\n")
    FailureLibrary("x.db", create=True)
    library = ["--library", "x.db", "--fail-on", "regressed"] if command == "match" else []
    result = invoke(command, "out.txt", *library)
    assert result.exit_code == 1, result.output
    assert "2" in result.stderr
    assert invoke(command, "out.txt", *library, "--exit-zero").exit_code == 0


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_an_empty_file_is_refused(folder, content):
    """A run that printed nothing has not passed."""
    (folder / "empty.txt").write_text(content)
    result = invoke("cluster", "empty.txt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: empty.txt is empty; expected a report or a traceback\n"
    result = CliRunner().invoke(main, ["defects", "cluster", "-"], input=content)
    assert (result.exit_code, "stdin is empty" in result.stderr) == (2, True)


@pytest.mark.parametrize("report", ["long.xml", "long.txt"])
def test_a_report_may_be_piped_in(reports, report):
    path = reports / report
    expected = invoke("cluster", path).stdout
    result = CliRunner().invoke(main, ["defects", "cluster", "-"], input=path.read_bytes())
    assert (result.exit_code, result.stdout) == (1, expected)


def test_commands_explain(reports):
    report = reports / "long.xml"
    lines = invoke("cluster", report, "--explain").stdout.splitlines()
    assert lines[4].startswith("    both have: ")
    document = json.loads(invoke("cluster", report, "--explain", "--json").stdout)
    assert "parse" in document["clusters"][0]["shared_identifiers"]

    invoke("learn", "--library", "x.db", "--name", "all", report)
    match = ["match", report, "--library", "x.db"]
    lines = invoke(*match, "--explain").stdout.splitlines()
    assert lines[0].startswith("known  ")
    assert lines[1] == "    exception 1.000, frame 1.000, test 1.000, message 1.000, text 1.000"
    assert lines[2].startswith("    both have: ")
    found = json.loads(invoke(*match, "--explain", "--json").stdout)["failures"][0]
    same = {"exception": 1, "frame": 1, "test": 1, "message": 1}
    assert found["components"] == same | {"text": pytest.approx(1)}
    assert found["shared_identifiers"]
    found = json.loads(invoke(*match, "--json").stdout)["failures"][0]
    assert not {"example", "shared_identifiers"} & found.keys()


def test_a_report_without_failures(folder):
    (folder / "x.xml").write_text('<testsuite><testcase name="a"/></testsuite>')
    FailureLibrary("x.db", create=True)
    for status, arguments in (
        (0, ["cluster", "x.xml"]),
        (0, ["match", "x.xml", "--library", "x.db"]),
        (1, ["learn", "x.xml", "--library", "x.db", "--name", "x"]),
    ):
        result = invoke(*arguments)
        assert (result.exit_code, result.stderr) == (status, "no failure in x.xml\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "no.xml"],
        ["cluster", "bad.xml"],
        ["match", "bad.xml", "--library", "x.db"],
        ["match", "fine.txt", "--library", "bad.xml"],
        ["match", "fine.txt", "--library", "no.db"],
    ],
    ids=" ".join,
)
def test_bad_input_exits_with_2(folder, arguments):
    (folder / "bad.xml").write_text("<html/>")
    (folder / "fine.txt").write_text(failure().text)
    FailureLibrary("x.db", create=True)
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_a_message_that_begins_with_an_empty_line_is_shown(folder):
    text = "E   AssertionError: \nE   Not equal to tolerance\n\ntest_a.py:3: AssertionError"
    cases = "".join(
        f'<testcase classname="test_a" name="{name}"><failure>{text}</failure></testcase>'
        for name in ("test_x[1]", "test_x[2]", "test_y")
    )
    (folder / "x.xml").write_text(f"<testsuite>{cases}</testsuite>")
    assert invoke("cluster", "x.xml").stdout.splitlines()[1:] == [
        "    test_a.py::test_x: 2 cases, the first with: Not equal to tolerance",
        "    test_a.py::test_y: Not equal to tolerance",
    ]


def test_the_cases_of_a_test_are_one_line_with_their_number(folder):
    cases = [
        f'<testcase classname="test_a" name="test_x[{i}]"><failure>'
        f"test_a.py:3: in test_x\n    assert f(i)\nE   assert {i} == -1</failure></testcase>"
        for i in range(120)
    ]
    other = cases[0].replace("test_x[0]", "test_y[0]")
    (folder / "x.xml").write_text(f"<testsuite>{''.join(cases)}{other}</testsuite>")
    assert invoke("cluster", "x.xml").stdout.splitlines()[1:] == [
        "    test_a.py::test_x: 120 cases, the first with: assert 0 == -1",
        "    test_a.py::test_y[0]: assert 0 == -1",
    ]
    (group,) = json.loads(invoke("cluster", "x.xml", "--json").stdout)["clusters"]
    assert len(group["tests"]) == 121
