"""Tests that failed and passed at a later attempt, in every kind of report."""

import json

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe.defects.failure_files import read_failure_file

BAD = "<failure>lib.py:7: in add\nE   KeyError: 1</failure>"
TEARDOWN = '<error message="failed on teardown with &quot;OSError: 1&quot;">E   OSError: 1</error>'


def case(content, name="test_a", **attributes):
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<testcase classname="test_x" name="{name}"{more}>{content}</testcase>'


def read_xml(folder, *suites):
    whole = "".join(f"<testsuite>{suite}</testsuite>" for suite in suites)
    (folder / "x.xml").write_text(f"<testsuites>{whole}</testsuites>")
    found = read_failure_file("x.xml")
    return [one.failure.exception for one in found.failures], found.flaky


@pytest.mark.parametrize(
    ("suites", "failures", "flaky"),
    [
        ([case(BAD) + case(BAD) + case("")], 0, 1),
        ([case(BAD) + case(BAD) + case(BAD)], 1, 0),
        ([case("") + case(BAD)], 1, 0),
        ([case(BAD) + case("", "test_b") + case("", "test_a[1]")], 1, 0),
        ([case(BAD), case("")], 1, 0),  # Two suites: no attempts of one test.
        ([case(BAD, file="a.py") + case("", file="b.py")], 1, 0),
        ([case(BAD) + case("<skipped/>")], 1, 0),
        ([case(BAD) + case(TEARDOWN)], 2, 0),
        ([case("<flakyFailure>E   KeyError: 1</flakyFailure><flakyError/>")], 0, 1),
        ([case(BAD + "<rerunFailure>E   KeyError: 1</rerunFailure>")], 1, 0),
    ],
)
def test_the_last_attempt_in_junit_xml_counts(folder, suites, failures, flaky):
    found, passed = read_xml(folder, *suites)
    assert (len(found), len(passed)) == (failures, flaky)
    assert set(passed) <= {"test_x.py::test_a"}


def log(folder, *reports):
    lines = [{"pytest_version": "9", "$report_type": "SessionStart"}]
    for when, outcome, *worker in reports:
        report = {"$report_type": "TestReport", "nodeid": "test_x.py::test_a", "when": when}
        report |= {
            "outcome": outcome,
            "longrepr": "E   KeyError: 1" if outcome != "passed" else None,
        }
        lines.append(report | ({"worker_id": worker[0]} if worker else {}))
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = read_failure_file("x.jsonl")
    return len(found.failures), found.flaky


SETUP, TEARDOWN_PASSED = ("setup", "passed"), ("teardown", "passed")
PASSED = [SETUP, ("call", "passed"), TEARDOWN_PASSED]
FAILED = [SETUP, ("call", "failed"), TEARDOWN_PASSED]
AGAIN = [SETUP, ("call", "rerun"), TEARDOWN_PASSED]


@pytest.mark.parametrize(
    ("reports", "failures", "is_flaky"),
    [
        (AGAIN + AGAIN + PASSED, 0, True),
        (AGAIN + AGAIN + FAILED, 1, False),
        (FAILED + FAILED + PASSED, 0, True),
        (FAILED + FAILED, 1, False),
        ([SETUP, ("call", "failed"), ("teardown", "failed")], 2, False),
        ([(*one, "gw0") for one in FAILED] + [(*one, "gw1") for one in PASSED], 1, False),
    ],
)
def test_the_last_attempt_in_a_report_log_counts(folder, reports, failures, is_flaky):
    assert log(folder, *reports) == (failures, ["test_x.py::test_a"] if is_flaky else [])


RERUNS = """\
test_x.py::test_a RERUN                     [ 25%]
[gw0] [ 50%] RERUN test_x.py::test_p[a - b]
test_x.py::test_b RERUN                     [ 75%]
test_x.py::test_b FAILED                    [ 75%]
= FAILURES =
_ test_b _
lib.py:7: in add
E   KeyError: 1
- Captured stdout call -
RERUN test_x.py::test_printed
= rerun test summary info =
RERUN test_x.py::test_b
RERUN test_x.py::test_c
FAILED test_x.py::test_b
"""
END = "= 1 failed, 5 passed, 4 rerun in 0.10s ="
SUMMARY = "= short test summary info =\nFAILED test_x.py::test_b - KeyError: 1\n"


@pytest.mark.parametrize("summary", [SUMMARY, ""], ids=["summary", "no summary"])
def test_reruns_in_the_output_of_pytest_are_flaky(folder, summary):
    (folder / "x.txt").write_text(RERUNS + summary + END)
    found = read_failure_file("x.txt")
    assert [one.failure.exception for one in found.failures] == ["KeyError"]
    assert found.flaky == [f"test_x.py::test_{name}" for name in ("a", "p[a - b]", "c")]
    assert found.notes == []


def test_reruns_without_names_are_said(folder):
    (folder / "x.txt").write_text("R.\n1 passed, 1 rerun in 0.10s")
    found = read_failure_file("x.txt")
    assert found.failures == found.flaky == []
    assert found.notes == ["pytest ran tests again (1 rerun) but does not name them: -rR does"]


def test_commands_show_flaky_tests_apart(folder):
    (folder / "x.txt").write_text(RERUNS + SUMMARY + END)
    result = CliRunner().invoke(main, ["defects", "cluster", "x.txt", "--json"])
    document = json.loads(result.stdout)
    assert (document["failures"], document["flaky"], document["counted"]) == (1, 3, 1)
    assert len(document["flaky_tests"]) == 3
    line = "3 flaky, passed at a later attempt: test_x.py::test_a, "
    assert result.stderr.startswith(line)
    (folder / "y.txt").write_text(SUMMARY + "= 3 failed in 0.10s =")
    result = CliRunner().invoke(main, ["defects", "cluster", "y.txt"])
    assert result.stderr == "y.txt: pytest counts 3 failed, but the text shows 1\n"
