"""HTML files of findings: one file, nothing loaded, every text escaped."""

import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.qe import CoverageIndex, collect, find_duplicates
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.gaps import find_gaps
from flashwasm.qe.defects.failure_clusters import cluster_failures
from flashwasm.qe.defects.failure_files import TestFailure
from flashwasm.qe.defects.tracebacks import read_failure
from flashwasm.qe.reports.html_pages import (
    clusters_page,
    duplicates_page,
    failure_groups,
    gaps_page,
    similar_page,
)
from flashwasm.qe.reports.html_pages import (
    tests_for_page as page_of_tests,
)
from git_repository import commit_all, git

pytest.importorskip("jinja2")

SUITE = """\
def test_a(): assert f("<script>alert(1)</script>", 1) == 1
def test_b(): assert f("<script>alert(1)</script>", 2) == 1
def test_c(): assert f("<script>alert(1)</script>", 2) == 1
"""
FAILURE = "lib.py:7: in add\n    x.y\nE   AttributeError: no '<b>\x1b[31m&\x07y'"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_x.py").write_text(SUITE)
    return tmp_path


class Reader(HTMLParser):
    """Reads a page; checks that tags are closed in order, and that none loads anything.

    Only a page with charts may have scripts.
    """

    def __init__(self, page, *, charts=False):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.charts, self.data = charts, []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in {"link", "img", "iframe", "object"}
        assert tag != "script" or self.charts
        loads = {name: value for name, value in attributes if name in {"src", "href"}}
        assert all(name == "href" and value.startswith("#") for name, value in loads.items())
        assert not [name for name, _ in attributes if name[:2] == "on"]
        self.tags.append(tag)
        if tag not in {"meta", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.data.append(data)
        else:
            self.text += data


def page_of(*arguments, status=1):
    result = CliRunner().invoke(main, [*map(str, arguments), "--html", "page.html"])
    assert result.exit_code == status, result.output
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    return Reader(page)


def test_the_page_of_duplicates(folder):
    page = page_of("duplicates", folder)
    assert "test_x.py::test_a" in page.text
    assert "1 group of tests with the same body" in page.text
    assert 'f("<script>alert(1)</script>", value)' in page.text
    assert page.tags.count("details") == 2


def test_the_page_of_a_suite_without_duplicates(folder):
    (folder / "test_x.py").write_text("")
    groups = find_duplicates(collect(folder).tests)
    assert Reader(duplicates_page(groups, folder)).tags.count("details") == 0


def test_failures_are_listed_by_message_after_the_end_of_the_first():
    end = "lib.py:7: in add\nE   AssertionError: \nE   Arrays differ\nE    ACTUAL: {}"
    failures = [TestFailure(f"t.py::test_{i}", read_failure(end.format(i))) for i in range(3)]
    other = TestFailure("", read_failure("lib.py:7: in add\nE   AssertionError: other"))
    (group,) = cluster_failures([one.failure for one in [other, *failures]])
    page = Reader(clusters_page([group], [other, *failures]))
    assert "4 failures in 1 group" in page.text
    assert "Arrays differ (the most frequent message)" in page.text
    places = [
        page.text.rindex(text) for text in ("AssertionError: other", "Arrays differ", "test_2")
    ]
    assert places == sorted(places)


def test_a_page_shows_the_largest_groups_of_failures_and_counts_the_others():
    text = "lib.py:7: in f{}\n    x.y\nE   KeyError: 1"
    failures = [TestFailure(f"t.py::test_{i}", read_failure(text.format(i))) for i in range(1234)]
    groups = cluster_failures([one.failure for one in failures])
    page = Reader(clusters_page(groups, failures))
    assert "1,234 failures in 1,234 groups" in page.text
    assert "the 100 largest of 1,234 groups, and leaves out 1,134. flashwasm" in page.text
    assert page.tags.count("details") == 100


def test_the_end_of_a_long_failure_begins_with_a_whole_line():
    text = "first line\n" * 300 + "lib.py:7: in add\nE   KeyError: 'x'"
    failure = TestFailure("t.py::test", read_failure(text))
    (group,) = failure_groups(cluster_failures([failure.failure]), [failure])
    assert group.ending.startswith("first line\n")
    assert group.ending.endswith("KeyError: 'x'")


EMPTY = {
    "similar": (lambda: similar_page([], "test_x.py::test", "x"), "no other test"),
    "tests-for": (lambda: page_of_tests([], 3, [], [], {}), "No test was chosen."),
    "duplicates": (lambda: duplicates_page([], Path("tests")), "No two tests do the same."),
    "clusters": (lambda: clusters_page([], []), "No test failed."),
    "gaps": (lambda: gaps_page([], Path(), total=0), "Tests run every line that was checked."),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_page_without_findings_says_so(name):
    make, sentence = EMPTY[name]
    page = Reader(make())
    assert sentence in page.text
    assert page.text.lstrip().startswith("No ")
    assert page.tags.count("details") == 0


def test_the_page_of_failures(folder):
    (folder / "a.txt").write_text(FAILURE)
    page = page_of("defects", "cluster", "a.txt")
    assert "1 failure in 1 group" in page.text
    assert "no '<b>&\ufffdy'" in page.text


def test_the_page_of_gaps(folder):
    (folder / "lib.py").write_text("def f(x):\n    if x:\n        return '<'\n    return 1\n")
    lines = {(0, 0): np.array([1, 2, 4])}
    CoverageIndex(CoverageData(["lib.py"], ["t.py::test"], lines)).save("coverage.fw")
    page = page_of("coverage", "gap", "--coverage", "coverage.fw")
    assert "lib.py: f" in page.text
    assert "t.py::test" in page.text
    assert page.tags.count("details") == 1
    assert "No test runs the lines marked with !." in page.text
    assert "    3!         return '<'\n" in page.text
    assert page.tags.count("mark") == 1


def test_the_page_of_gaps_shows_the_lines_between_and_the_number_of_all(folder):
    source = (
        "def f(x):\n    y = [\n        x,\n    ]\n    # Why.\n    return y\ndef g():\n    pass\n"
    )
    (folder / "lib.py").write_text(source)
    CoverageIndex(CoverageData(["lib.py"], ["t.py::test"], {(0, 0): np.array([1])})).save("c.fw")
    page = page_of("coverage", "gap", "--coverage", "c.fw", "-k", "1")
    assert "2 functions with lines that no test runs" in page.text
    assert "shows the first 1" in page.text
    lines = ["    2!     y = [", "    3          x,", "    4      ]", "    5      # Why."]
    assert "\n".join([*lines, "    6!     return y"]) in page.text
    assert "2 lines" in page.text


def test_a_gap_whose_file_is_gone_shows_the_text_that_was_read(folder):
    (folder / "lib.py").write_text("def f(x):\n    return x\n")
    index = CoverageIndex(CoverageData(["lib.py"], ["t.py::test"], {(0, 0): np.array([1])}))
    gaps, _ = find_gaps(index, folder)
    (folder / "lib.py").unlink()
    page = Reader(gaps_page(gaps, folder, total=1))
    assert "Line 2:" in page.text
    assert "return x" in page.text


def test_the_page_of_similar_tests_shows_both_sides(folder):
    page = page_of("similar", folder, "--query", "test_x.py::test_a", status=0)
    assert "2 tests similar to test_x.py::test_a" in page.text
    assert page.text.count('f("<script>alert(1)</script>", 2)') == 2
    assert page.tags.count("table") == 2
    words = page_of("similar", folder, "--query", "alert", status=0)
    assert "free text" in words.text
    assert words.tags.count("table") == 0


def test_json_is_the_same_beside_a_page(folder):
    asked = ["similar", str(folder), "--query", "alert", "--json"]
    alone = CliRunner().invoke(main, asked).stdout
    assert CliRunner().invoke(main, [*asked, "--html", "page.html"]).stdout == alone


@pytest.fixture
def changed(folder):
    """Return a folder with a repository in which the function that all tests call has changed."""
    git(folder, "init", "-q")
    (folder / "lib.py").write_text("def f(text, number):\n    return number\n")
    (folder / "test_x.py").write_text("from lib import f\n" + SUITE)
    commit_all(folder)
    (folder / "lib.py").write_text("def f(text, number):\n    return number + 1\n")
    return folder


def test_the_page_of_tests_for_a_change(changed):
    page = page_of("tests-for", changed, "--since", "HEAD", "--dry-run", status=0)
    assert "3 tests for a change" in page.text
    assert page.tags.count("tr") == 4
    assert "its file depends on lib.py" in page.text


def test_a_page_of_many_tests_for_a_change_only_names_the_last_ones(changed, monkeypatch):
    monkeypatch.setattr("flashwasm.qe.reports.html_pages._MOST_ROWS", 1)
    page = page_of("tests-for", changed, "--since", "HEAD", "--dry-run", status=0)
    assert page.tags.count("tr") == 2
    assert "2 more tests, in their order" in page.text
    assert page.text.count("test_x.py::") == 3


def test_without_jinja2_a_command_says_how_to_get_it_before_it_searches(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr("flashwasm.cli.duplicates.collect", None)
    with pytest.raises(fw.CapabilityError, match=r'pip install "flashwasm\[qe\]"'):
        duplicates_page([], folder)
    result = CliRunner().invoke(main, ["duplicates", str(folder), "--html", "page.html"])
    assert result.exit_code == 2
    assert "Jinja2 cannot be imported" in result.stderr
    assert not (folder / "page.html").exists()


def test_a_name_breaks_between_its_parts_and_nowhere_else(folder):
    (folder / "lib.py").write_text("def __a_b(x):\n    return x\n")
    CoverageIndex(
        CoverageData(["lib.py"], ["t/_u/test_v.py::test_w"], {(0, 0): np.array([1])})
    ).save("c.fw")
    page_of("coverage", "gap", "--coverage", "c.fw")
    page = Path("page.html").read_text("utf-8")
    assert "lib.py: __a_<wbr>b" in page
    assert "t/<wbr>_u/<wbr>test_<wbr>v.py::<wbr>test_<wbr>w" in page


def test_text_is_no_template(folder):
    """Jinja2's braces in a finding stay text, and are not evaluated."""
    (folder / "a.txt").write_text("lib.py:7: in add\nE   KeyError: {{ 7 * 7 }} {% if x %}")
    page = page_of("defects", "cluster", "a.txt")
    assert "{{ 7 * 7 }} {% if x %}" in page.text
