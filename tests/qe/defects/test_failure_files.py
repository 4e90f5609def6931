"""Failures read from files: JUnit XML and pytest's output, in every style of traceback."""

import re

import pytest

import flashwasm as fw
from flashwasm.qe import read_failure, read_failures
from flashwasm.qe.defects.pytest_output import split_output

# Exception, file and function of each test.
EXPECTED = {
    "test_parse": ("ValueError", "shop.py", "parse"),
    "test_parse_again": ("ValueError", "shop.py", "parse"),
    "test_load": ("OwnError", "shop.py", "load"),
    "test_total": ("ZeroDivisionError", "shop.py", "total"),
    "test_own": ("AssertionError", "test_shop.py", ""),
    "test_fixture": ("ValueError", "shop.py", "parse"),
}


def signatures(failures):
    return {
        one.test.rpartition("::")[2]: (
            one.failure.signature[0],
            one.failure.signature[1].rpartition("/")[2],
            one.failure.signature[2],
        )
        for one in failures
    }


@pytest.mark.parametrize("kind", ["txt", "xml"])
@pytest.mark.parametrize("style", ["long", "short", "native", "auto"])
def test_reports_and_output_of_pytest_are_read(reports, style, kind):
    # The output has colours, which may stand inside a line and inside a heading.
    path = reports / f"{style}.{kind}"
    assert signatures(read_failures(path)) == EXPECTED


def test_colours_are_removed(reports):
    assert b"\x1b[" in (reports / "long.txt").read_bytes()
    assert all("\x1b" not in one.failure.text for one in read_failures(reports / "long.txt"))


def test_a_line_of_the_line_style_is_read(reports):
    line = re.findall(r".*shop\.py:\d+: ZeroDivision.*", (reports / "line.txt").read_text())[0]
    failure = read_failure(line)
    assert (failure.exception, failure.message) == ("ZeroDivisionError", "division by zero")


def test_messages_and_causes(reports):
    of = {one.test.rpartition("::")[2]: one.failure for one in read_failures(reports / "long.xml")}
    assert of["test_load"].message == "cannot load 'z'"
    assert of["test_load"].causes == ("ValueError",)
    assert of["test_own"].message.startswith("it is 2")


def test_a_test_with_a_failure_and_an_error_counts_twice(folder):
    (folder / "x.xml").write_text(
        '<testsuite><testcase classname="a.B" name="test"><failure message="" type="x.OwnError"/>'
        '<error message="KeyError: 1">not a traceback</error></testcase>'
        '<testcase name="fine"/><testcase name="left out"><skipped/></testcase></testsuite>'
    )
    first, second = read_failures("x.xml")
    assert (first.test, first.failure.exception) == ("a.B::test", "OwnError")
    assert (second.test, second.failure.exception) == ("a.B::test", "KeyError")


def test_output_without_failures():
    assert split_output("text") == [("", "text")]
    both = "= ERRORS =\n___ ERROR at setup of a ___\nE   X\n= FAILURES =\n___ b ___\nE   Y\n"
    assert [(test, text.strip()) for test, text in split_output(both)] == [
        ("a", "E   X"),
        ("b", "E   Y"),
    ]
    assert split_output("=== FAILURES ===\n=== short test summary info ===\n") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html></html>", "is XML, but not a JUnit report: <html>"),
        (b"<testsuites><testsuite>", "not a whole JUnit report"),
        (b"<?xml version='1.0'?>\xff\xfe", "not a whole JUnit report"),
    ],
)
def test_foreign_files_are_refused(folder, content, message):
    (folder / "x.xml").write_bytes(content)
    with pytest.raises(fw.CorruptFileError, match=message):
        read_failures("x.xml")
    with pytest.raises(fw.ShapeError, match="does not exist"):
        read_failures("y.xml")


def test_a_text_that_is_too_large_is_refused(folder):
    with (folder / "x.log").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(fw.ShapeError, match="expected a traceback of at most"):
        read_failures("x.log")


@pytest.mark.parametrize("piece", [b" ", b"\t", b"1", b"=", b"-", b"\x1b[1m"])
def test_a_text_of_one_line_of_a_megabyte_is_refused(tmp_path, piece):
    path = tmp_path / "x.txt"
    path.write_bytes(b"x" + piece * ((1 << 20) // len(piece)))
    with pytest.raises(fw.CorruptFileError, match=r"x\.txt is not a report"):
        read_failures(path)
