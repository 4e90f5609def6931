"""Duplicate tests: bodies that are the same, those that are not, and the suggested test."""

import json
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe import collect
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.duplicates.duplicate_groups import find_duplicates
from flashwasm.qe.duplicates.known_groups import group_fingerprints
from flashwasm.qe.reports.sarif import duplicates_sarif


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "pytest.ini").write_text("")
    monkeypatch.chdir(tmp_path / "suite")
    return tmp_path / "suite"


def groups(folder, **files):
    """Write test files, and return the tier and the names of the tests of each group in them."""
    for name, content in files.items():
        (folder / f"test_{name}.py").write_text(dedent(content))
    found = find_duplicates(collect(folder).tests)
    return [
        (group.tier, [test.nodeid.split("::", 1)[1] for test in group.tests]) for group in found
    ]


SAME = {
    "formatting": """
        def test_a():
            '''One.'''
            assert f(1,
                     2) == 3  # Why.
        def test_b():
            assert f(1, 2) == 3
        """,
    "quotes": "def test_a(): assert f('x')\ndef test_b(): assert f(\"x\")",
    "one class": """
        class TestA:
            def test_a(self): assert self.graph.add(1)
            def test_b(self): assert self.graph.add(1)
        """,
    "unittest's own methods": """
        class TestA(TestCase):
            def test_a(self): self.assertEqual(len([]), 0)
        class TestB(TestCase):
            def test_a(self): self.assertEqual(len([]), 0)
        """,
    "decorators": "@skip\ndef test_a(): f()\n@skip\ndef test_b(): f()",
}
OTHER = {
    "another call": "def test_a(): assert f(1)\ndef test_b(): assert g(1)",
    "attributes of two classes": """
        class TestA:
            def test_a(self): assert self.graph.add(1)
        class TestB:
            def test_a(self): assert self.graph.add(1)
        """,
    "decorators": "@skip\ndef test_a(): f()\n@slow\ndef test_b(): f()",
    "cases": "@cases([1])\ndef test_a(x): f(x)\n@cases([2])\ndef test_b(x): f(x)",
    "fixtures of two classes": """
        class TestA:
            def test_a(self, graph): assert graph.add(1)
        class TestB:
            def test_a(self, graph): assert graph.add(1)
        """,
    "nothing done": "def test_a(): pass\ndef test_b(): ...\ndef test_c(): 'Documented.'",
    "coroutines": "def test_a(): f()\nasync def test_b(): f()",
    "patterns": """
        def test_a():
            match f():
                case 1: g()
        def test_b():
            match f():
                case 2: g()
        """,
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_bodies_that_are_the_same(folder, source):
    assert [tier for tier, _ in groups(folder, x=source)] == [1]


@pytest.mark.parametrize("source", OTHER.values(), ids=OTHER)
def test_bodies_that_are_not_the_same(folder, source):
    assert groups(folder, x=source) == []


@pytest.mark.parametrize(
    ("head", "grouped"),
    [
        ('@pytest.mark.parametrize("x", CASES)\ndef test_a(x)', False),
        ('@pytest.mark.parametrize("x", cases())\ndef test_a(x)', False),
        ("@needs\ndef test_a()", False),
        ("def test_a(x=CASES)", False),
        ('@pytest.mark.parametrize("x", [1, 2])\ndef test_a(x)', True),
    ],
)
def test_decorators_and_defaults_that_use_values_of_two_files_differ(folder, head, grouped):
    source = f"import pytest\nCASES = [{{0}}]\ndef cases(): return CASES\n{head}: assert len('abc')"
    found = groups(folder, one=source.format(1), two=source.format(2))
    assert bool(found) == grouped


def test_equal_names_count_as_the_same_only_if_they_mean_the_same(folder):
    test = "def test_a(): assert same(1)\n"
    imported = "from lib import same\n"
    assert groups(folder, a=imported + test, b=imported + test) == [(1, ["test_a", "test_a"])]
    assert groups(folder, a=imported + test, b="from other import same\n" + test) == []
    local = "def same(x): ...\n"
    assert groups(folder, a=local + test, b=local + test) == []
    assert groups(folder, a="from .lib import same\n" + test, b="import same\n" + test) == []
    built_in = "def test_a(tmp_path): assert len(str(tmp_path))"
    assert groups(folder, a=built_in, b=built_in) == [(1, ["test_a", "test_a"])]


LITERALS = """
import pytest

def scale(x, factor=1): return [n * factor for n in x]

def test_scale_one():
    assert scale([1, 2], factor=1) == [1, 2]
    assert len("ab") == 2

def test_scale_none():
    '''Nothing.'''
    assert scale([], factor=-3) == []
    assert len("abc") == 3

def test_scale_more():
    assert scale([4], factor=2) == [8]
    assert len("") == 0

def test_scale_copy():
    assert scale([4], factor=2) == [8]
    assert len("") == 0
"""


def test_literals_are_parametrised(folder):
    (folder / "test_x.py").write_text(LITERALS)
    copies, group = find_duplicates(collect(folder).tests)
    assert (copies.tier, len(copies.tests)) == (1, 2)
    assert group.tier == 2
    assert group.reason == "only 5 literals differ"
    assert [t.nodeid.split("::")[1] for t in group.tests] == [
        "test_scale_one",
        "test_scale_none",
        "test_scale_more",
    ]
    # The suggested test passes, with a case for each of the three tests.
    start = LITERALS[: LITERALS.index("def test_scale_one")]
    (folder / "test_x.py").write_text(start + group.suggestion)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_x.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert "3 passed" in done.stdout, done.stdout
    assert "test_scale[test_scale_none] PASSED" in done.stdout
    assert "def test_scale(factor, value" not in group.suggestion
    assert "factor=factor" in group.suggestion


def test_equal_literals_share_one_parameter(folder):
    source = (
        "def test_a(): assert f(1) == g(1, value=2)\ndef test_b(): assert f(3) == g(3, value=2)"
    )
    (folder / "test_x.py").write_text(source)
    (group,) = find_duplicates(collect(folder).tests)
    assert group.suggestion.splitlines()[-2:] == [
        "def test_a(value):",
        "    assert f(value) == g(value, value=2)",
    ]


def test_unittest_gets_no_suggestion(folder):
    (folder / "test_x.py").write_text(
        "class TestA(TestCase):\n"
        "    def test_a(self): self.assertTrue(f(1))\n"
        "    def test_b(self): self.assertTrue(f(2))\n"
    )
    (group,) = find_duplicates(collect(folder).tests)
    assert (group.tier, group.reason, group.suggestion) == (2, "only 1 literal differs", None)


SAME_LINES = """
from lib import f, g
def test_next_number_of_one():
    number = f(1)
    assert number == 2
def test_next_number_of_one_is_more():
    number = f(1)
    assert number > 1
def test_unlike_in_all_its_text(): assert not [i for i in "abc" if f(len(i)) == 7]
def test_next_number_of_one_backwards():
    number = g(1)
    assert number == 0
"""
# Lines of lib.py that each of these tests runs: only the last test runs a different one.
LINES_RUN = [[2], [2], [2], [4]]


def test_tests_with_the_same_coverage_and_similar_text_are_a_group(folder):
    (folder / "test_x.py").write_text(SAME_LINES)
    tests = collect(folder).tests
    contexts = [f"{test.nodeid}|run" for test in tests]
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(LINES_RUN)}
    coverage = CoverageIndex(CoverageData(["lib.py"], contexts, lines))
    (group,) = [g for g in find_duplicates(tests, coverage=coverage) if g.tier == 3]
    assert [test.nodeid.split("::")[1] for test in group.tests] == [
        "test_next_number_of_one",
        "test_next_number_of_one_is_more",
    ]
    assert "they run the same lines, and their texts are similar (0." in group.reason


@pytest.mark.parametrize(
    ("removed", "added", "found"),
    [("tests/", "", 1), ("", "build/x/", 1), ("tests/", "build/", 0), ("tests/web/", "", 0)],
)
def test_a_database_of_another_root_has_the_same_tests(folder, removed, added, found):
    # Both files end with web/test_x.py::..., but only one of them is below tests/web.
    for name in ("tests/web/test_x.py", "tests/api/test_x.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(SAME_LINES)
    tests = collect(folder).tests
    ours = [test.nodeid for test in tests if "/web/" in test.nodeid]
    contexts = [f"{added}{nodeid.removeprefix(removed)}|run" for nodeid in ours]
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(LINES_RUN)}
    coverage = CoverageIndex(CoverageData(["lib.py"], contexts, lines))
    groups = [g for g in find_duplicates(tests, coverage=coverage) if g.tier == 3]
    assert len(groups) == found
    assert all(test.nodeid in ours for group in groups for test in group.tests)


def test_broken_and_changed_files_are_left_out(folder):
    source = "def test_a(): f()\ndef test_b(): f()\n"
    (folder / "test_x.py").write_text(source)
    tests = collect(folder).tests
    (folder / "test_x.py").write_text("(")
    assert find_duplicates(tests) == []
    (folder / "test_x.py").unlink()
    assert find_duplicates(tests) == []


# The command.


def invoke(*arguments):
    result = CliRunner().invoke(main, ["duplicates", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_command_prints_and_writes_the_groups(folder):
    (folder / "test_x.py").write_text(LITERALS)
    lines = invoke(".").stdout.splitlines()
    assert lines[:3] == [
        "identical: the body is the same, but for the name",
        "    test_x.py::test_scale_more",
        "    test_x.py::test_scale_copy",
    ]
    assert "    def test_scale(value, factor, value_2, value_3, value_4):" in lines
    result = invoke(".", "--json", "--sarif", "out/x.sarif")
    document = json.loads(result.stdout)
    assert [group["tier"] for group in document["groups"]] == [1, 2]
    log = json.loads((folder / "out" / "x.sarif").read_text())
    found = find_duplicates(collect(folder).tests)
    marked = list(zip(found, group_fingerprints(found), strict=True))
    assert log == duplicates_sarif(marked, folder)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("identical-test", "warning")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "test_x.py", "uriBaseId": "ROOT"}
    assert place["region"] == {"startLine": 15, "endLine": 17}
    assert len(first["relatedLocations"]) == 1
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])


def test_command_says_that_there_are_no_duplicates(folder):
    (folder / "test_x.py").write_text("def test_a(): f()")
    result = invoke(".")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no duplicates in .\n")
    assert json.loads(invoke(".", "--json").stdout)["groups"] == []


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--exit-zero"]])
def test_a_path_without_tests_is_bad_input(folder, arguments):
    (folder / "test_broken.py").write_text("(")
    result = invoke(".", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    skipped, error = result.stderr.splitlines()
    assert "test_broken.py" in skipped
    assert error.startswith("Error: no tests in .; expected a path for which `pytest ")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 1),
        (["--fail-on", "exact"], 1),
        (["--fail-on", "coverage, parametrize"], 1),
        (["--fail-on", "coverage"], 0),
        (["--exit-zero"], 0),
        (["--exit-zero", "--fail-on", "exact"], 0),
        (["--fail-on", "identical"], 2),
        (["--fail-on", ""], 2),
    ],
    ids=str,
)
def test_the_exit_status_says_whether_there_are_duplicates(folder, arguments, status):
    (folder / "test_x.py").write_text(LITERALS)
    result = invoke(".", *arguments)
    assert result.exit_code == status, result.stderr
    assert ("identical:" in result.stdout) == (status < 2)
    if status == 2:
        assert "is not one of exact, parametrize, coverage" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist or is not a file"),
        (b"", "not a whole coverage database"),
        (b"SQLite format 3\0" + b"x" * 4000, "not a whole coverage database"),
        (b"no database", "not a whole coverage database"),
    ],
)
def test_command_refuses_a_foreign_database(folder, content, message):
    (folder / "test_x.py").write_text("def test_a(): f()")
    if content is not None:
        (folder / "x.db").write_bytes(content)
    result = invoke(".", "--coverage", "x.db")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_assertion_method_of_a_class_belongs_to_that_class(tmp_path):
    """The name begins like the assertion methods of unittest, but unittest does not define it."""
    body = "    def test_a(self): self.assert_deprecated(lambda: [][0])\n"
    (tmp_path / "test_it.py").write_text(
        f"class TestA:\n    message = 'a'\n{body}class TestB:\n    message = 'b'\n{body}"
    )
    assert find_duplicates(collect(tmp_path, cache=False).tests) == []


def test_tests_that_would_need_six_parameters_are_not_a_group(tmp_path):
    def test(name, values):
        lines = "".join(f"    assert f({value})\n" for value in values)
        return f"def {name}():\n{lines}"

    (tmp_path / "test_it.py").write_text(
        f"from x import f\n{test('test_a', range(6))}{test('test_b', range(6, 12))}"
    )
    assert find_duplicates(collect(tmp_path, cache=False).tests) == []
    (tmp_path / "test_it.py").write_text(
        f"from x import f\n{test('test_a', range(5))}{test('test_b', range(6, 11))}"
    )
    (group,) = find_duplicates(collect(tmp_path, cache=False).tests)
    assert group.reason == "only 5 literals differ"
