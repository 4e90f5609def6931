"""Failures: read in every style, grouped, and matched with a library of defects."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import traceback

import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.qe import FailureLibrary, cluster_failures, read_failure, read_failures
from flashwasm.qe.defects.pytest_output import split_output
from flashwasm.qe.defects.tracebacks import Frame

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
# Of each test: exception, file and function.
EXPECTED = {
    "test_parse": ("ValueError", "shop.py", "parse"),
    "test_parse_again": ("ValueError", "shop.py", "parse"),
    "test_load": ("OwnError", "shop.py", "load"),
    "test_total": ("ZeroDivisionError", "shop.py", "total"),
    "test_own": ("AssertionError", "test_shop.py", ""),
    "test_fixture": ("ValueError", "shop.py", "parse"),
}
STYLES = ["long", "short", "native", "auto"]
# One interpreter runs pytest once for each style.
RUN = """
import contextlib, pytest, sys
for style in sys.argv[1:]:
    options = ["--color=yes", f"--tb={style}", f"--junitxml={style}.xml"]
    with open(f"{style}.txt", "w") as output, contextlib.redirect_stdout(output):
        pytest.main(["-p", "no:cacheprovider", *options, "test_shop.py"])
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return a folder with the output and the JUnit XML of a real pytest, for each style."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(LIBRARY)
    (folder / "test_shop.py").write_text(TESTS)
    subprocess.run(
        [sys.executable, "-c", RUN, *STYLES, "line"],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def signatures(failures):
    return {
        one.test.rpartition("::")[2]: (
            one.failure.signature[0],
            one.failure.signature[1].rpartition("/")[2],
            one.failure.signature[2],
        )
        for one in failures
    }


# Reading.


@pytest.mark.parametrize("kind", ["txt", "xml"])
@pytest.mark.parametrize("style", STYLES)
def test_what_pytest_wrote(reports, style, kind):
    # Colours need not begin a line of their own, and cut no heading.
    path = reports / f"{style}.{kind}"
    assert signatures(read_failures(path)) == EXPECTED


def test_colours_are_no_part_of_it(reports):
    assert b"\x1b[" in (reports / "long.txt").read_bytes()
    assert all("\x1b" not in one.failure.text for one in read_failures(reports / "long.txt"))


def test_line_style(reports):
    line = re.findall(r".*shop\.py:\d+: ZeroDivision.*", (reports / "line.txt").read_text())[0]
    failure = read_failure(line)
    assert (failure.exception, failure.message) == ("ZeroDivisionError", "division by zero")


def test_messages_and_causes(reports):
    of = {one.test.rpartition("::")[2]: one.failure for one in read_failures(reports / "long.xml")}
    assert of["test_load"].message == "cannot load 'z'"
    assert of["test_load"].causes == ("ValueError",)
    assert of["test_own"].message.startswith("it is 2")


def raised(function):
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whatever it is.
        return error


def caught(function):
    return "".join(traceback.format_exception(raised(function)))


def chained():
    try:
        {}["missing"]
    except KeyError:
        raise TypeError("two\nValueError: a line of the message") from None


def implicitly_chained():
    try:
        {}["missing"]
    except KeyError:
        [].pop(1)


def recursive():
    return recursive()


@pytest.mark.parametrize(
    ("function", "exception", "message", "causes"),
    [
        (chained, "TypeError", "two", ()),
        (implicitly_chained, "IndexError", "pop from empty list", ("KeyError",)),
        (recursive, "RecursionError", "maximum recursion depth exceeded", ()),
        (lambda: sys.exit(3), "SystemExit", "3", ()),
    ],
)
def test_pythons_own(function, exception, message, causes):
    failure = read_failure("2026-11-23 ERROR: something\n" + caught(function))
    assert (failure.exception, failure.message, failure.causes) == (exception, message, causes)
    assert failure.frames[0].path == __file__


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are newer")
def test_exception_groups():
    def grouped():
        errors = [raised(chained), raised(implicitly_chained)]
        raise ExceptionGroup("several", errors)  # noqa: F821 - a name of newer Pythons.

    failure = read_failure(caught(grouped))
    assert failure.exception == "TypeError"
    assert failure.place.function == "chained"
    assert "ExceptionGroup" in failure.causes


@pytest.mark.parametrize(
    ("path", "is_product"),
    [
        ("src/lib.py", True),
        ("tests/test_lib.py", False),
        ("lib/tests/helpers.py", False),
        ("conftest.py", False),
        ("C:\\lib\\lib_test.py", False),
        ("/usr/lib/python3.12/json/decoder.py", False),
        ("/venv/lib/python3.12/site-packages/numpy/core.py", False),
        ("<string>", False),
        ("latest/contests.py", True),
    ],
)
def test_product_frames(path, is_product):
    assert Frame(path, 1, "f").is_product is is_product


@pytest.mark.parametrize(
    "text", ["", "\n", "all went well", "\x1b[31m", "E", "E   ", "a" * 200_000]
)
def test_what_is_no_traceback(text):
    failure = read_failure(text)
    assert (failure.exception, failure.frames, failure.place) == ("", (), None)
    assert len(failure.text) <= 1 << 16


def test_a_failure_and_an_error_and_no_text(folder):
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
        (b"<html></html>", "is XML, but no JUnit report: <html>"),
        (b"<testsuites><testsuite>", "not a whole JUnit report"),
        (b"<?xml version='1.0'?>\xff\xfe", "not a whole JUnit report"),
    ],
)
def test_foreign_files(folder, content, message):
    (folder / "x.xml").write_bytes(content)
    with pytest.raises(fw.CorruptFileError, match=message):
        read_failures("x.xml")
    with pytest.raises(fw.ShapeError, match="does not exist"):
        read_failures("y.xml")


def test_a_text_that_is_too_large(folder):
    with (folder / "x.log").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(fw.ShapeError, match="expected a traceback of at most"):
        read_failures("x.log")


# Groups.


def test_groups_say_why(reports):
    failures = read_failures(reports / "short.xml")
    first, *others = cluster_failures([one.failure for one in failures])
    assert len(first.members) == 3
    assert re.fullmatch(r"ValueError, and the innermost .* is \S*shop\.py in parse", first.reason)
    assert sorted(len(group.members) for group in others) == [1, 1, 1]
    assert any("no frame outside tests" in group.reason for group in others)
    assert cluster_failures([]) == []


# The library.


def failure(exception="ValueError", function="parse", message="bad", extra=""):
    return read_failure(f"lib.py:7: in {function}\n    {extra}x()\nE   {exception}: {message}")


def test_new_known_regressed():
    library = FailureLibrary("defects.db", create=True)
    assert library.match(failure()).evidence == "the library is empty"
    assert library.learn("bad numbers", [failure(), failure()], note="see issue 12") == 1
    found = library.match(failure(message="worse"))
    assert (found.status, found.defect, found.note) == ("known", "bad numbers", "see issue 12")
    assert found.evidence.startswith("the same ValueError, and the innermost frame")
    assert library.learn("bad numbers", [failure(message="worse")], resolved=True) == 1
    again = FailureLibrary("defects.db")
    assert again.defects == {"bad numbers": True}
    assert again.match(failure().text).status == "regressed"
    assert again.match(failure()).note == "see issue 12"
    assert again.match(failure("KeyError", "other", "7")).status == "new"
    again.learn("bad numbers", [])
    assert again.match(failure()).status == "known"


def test_a_text_alike_in_another_frame():
    pytest.importorskip("sklearn")
    library = FailureLibrary("defects.db", create=True)
    long = "numbers = [convert(part) for part in parts if part.strip()]; "
    library.learn("parts", [failure(extra=long, message="parts are empty")])
    library.learn("other", [failure("KeyError", "look_up", "'k'")])
    found = library.match(failure(function="parse_all", extra=long, message="parts are empty"))
    assert (found.status, found.defect) == ("known", "parts")
    assert found.evidence == "the same ValueError with a text alike"
    found = library.match(failure("TypeError", "parse_all", "parts are empty", extra=long))
    assert (found.status, found.defect) == ("new", "parts")
    assert "the nearest text is parts's (" in found.evidence


def test_without_scikit_learn_frames_decide(monkeypatch):
    def absent(*_, **__):
        raise fw.CapabilityError("scikit-learn is not installed")

    monkeypatch.setattr("flashwasm.qe.defects.failure_library.TfIdfMatrix", absent)
    library = FailureLibrary("defects.db", create=True)
    library.learn("bad numbers", [failure()])
    assert library.match(failure(message="worse")).score is None
    assert library.match(failure("KeyError")).status == "new"
    assert library.missing == ["scikit-learn is not installed"]


def test_libraries_that_are_refused(folder):
    with pytest.raises(fw.ShapeError, match="does not exist"):
        FailureLibrary("no.db")
    with pytest.raises(fw.ShapeError, match="is no file"):
        FailureLibrary(".", create=True)
    with pytest.raises(fw.ShapeError, match="name is empty"):
        FailureLibrary("x.db", create=True).learn(" ", [])
    (folder / "foreign").write_bytes(b"no database")
    with sqlite3.connect(folder / "other.db") as other:
        other.execute("create table defect (x)")
    other.close()
    FailureLibrary("whole.db", create=True).learn("x", [failure()])
    content = (folder / "whole.db").read_bytes()
    (folder / "truncated.db").write_bytes(content[: len(content) // 2])
    for name in ("foreign", "other.db", "truncated.db"):
        with pytest.raises(fw.CorruptFileError, match=r"is no (whole )?library"):
            FailureLibrary(name)


# The commands.


def invoke(*arguments):
    result = CliRunner().invoke(main, ["defects", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_commands(folder, reports):
    report = reports / "long.xml"
    result = invoke("cluster", report)
    assert result.exit_code == 0
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
    assert invoke("match", report, "--library", "x.db").exit_code == 0


@pytest.mark.parametrize("report", ["long.xml", "long.txt"])
def test_what_is_piped_in(reports, report):
    path = reports / report
    expected = invoke("cluster", path).stdout
    result = CliRunner().invoke(main, ["defects", "cluster", "-"], input=path.read_bytes())
    assert (result.exit_code, result.stdout) == (0, expected)


def test_commands_explain(reports):
    pytest.importorskip("sklearn")
    report = reports / "long.xml"
    lines = invoke("cluster", report, "--explain").stdout.splitlines()
    assert lines[4].startswith("    both have: ")
    document = json.loads(invoke("cluster", report, "--explain", "--json").stdout)
    assert "parse" in document["clusters"][0]["shared_identifiers"]

    invoke("learn", "--library", "x.db", "--name", "all", report)
    match = ["match", report, "--library", "x.db"]
    lines = invoke(*match, "--explain").stdout.splitlines()
    assert lines[0].startswith("known  ")
    assert lines[1] == "    exception 1.000, frame 1.000, text 1.000"
    assert lines[2].startswith("    both have: ")
    found = json.loads(invoke(*match, "--explain", "--json").stdout)["failures"][0]
    assert found["components"] == {"exception": 1, "frame": 1, "text": pytest.approx(1)}
    assert found["shared_identifiers"]
    found = json.loads(invoke(*match, "--json").stdout)["failures"][0]
    assert not {"example", "shared_identifiers"} & found.keys()


def test_what_a_new_failure_was_compared_with():
    pytest.importorskip("sklearn")
    library = FailureLibrary("defects.db", create=True)
    library.learn("numbers", [failure()], note="see issue 12")
    found = library.match(failure("KeyError", "parse", "bad"))
    assert (found.status, found.defect, found.note) == ("new", "numbers", "")
    assert (found.components["exception"], found.components["frame"]) == (0, 1)
    assert found.example == failure().text


def test_nothing_failed(folder):
    (folder / "x.xml").write_text('<testsuite><testcase name="a"/></testsuite>')
    FailureLibrary("x.db", create=True)
    for arguments in (
        ["cluster", "x.xml"],
        ["match", "x.xml", "--library", "x.db"],
        ["learn", "x.xml", "--library", "x.db", "--name", "x"],
    ):
        result = invoke(*arguments)
        assert (result.exit_code, result.stderr) == (1, "no failure in x.xml\n")


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
def test_bad_input(folder, arguments):
    (folder / "bad.xml").write_text("<html/>")
    (folder / "fine.txt").write_text(failure().text)
    FailureLibrary("x.db", create=True)
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")
