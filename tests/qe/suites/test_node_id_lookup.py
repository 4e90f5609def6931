"""Tests named by node ids in all the forms that people type, the same in every command."""

import json
import os

import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.cli import main
from flashwasm.qe.suites.node_id_lookup import nearest_node_ids, node_ids_named, without_parameters
from small_project import record_coverage, write_project

NODEIDS = {
    "tests/test_a.py::test_add[1-2]": 0,
    "tests/test_a.py::test_add[a/b::c]": 1,
    "tests/test_a.py::TestA::test_one": 2,
    "tests/web/test_a.py::test_one": 3,
    "test_a.py::test_root": 4,
    "tests/web/test_a.py::test_root": 5,
}
ADD = list(NODEIDS)[:2]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("tests/test_a.py::test_add[1-2]", ADD[:1]),
        ("tests/test_a.py::test_add[a/b::c]", ADD[1:]),
        # Without parameters, or with others than any case has, all cases are meant.
        ("tests/test_a.py::test_add", ADD),
        ("tests/test_a.py::test_add[9]", ADD),
        ("test_add", ADD),
        ("test_add[1-2]", ADD[:1]),
        ("::test_add", ADD),
        ("TestA::test_one", ["tests/test_a.py::TestA::test_one"]),
        ("web/test_a.py::test_one", ["tests/web/test_a.py::test_one"]),
        ("./tests/test_a.py::TestA::test_one", ["tests/test_a.py::TestA::test_one"]),
        ("tests/web/../test_a.py::TestA::test_one", ["tests/test_a.py::TestA::test_one"]),
        ("checkout/tests/web/test_a.py::test_one", ["tests/web/test_a.py::test_one"]),
        # An equal node id comes before those that only end with it.
        ("test_a.py::test_root", ["test_a.py::test_root"]),
        ("test_absent", []),
        ("list[int] is empty", []),
        ("", []),
    ],
)
def test_forms_of_a_node_id(query, named):
    assert node_ids_named(query, NODEIDS) == named


def test_an_end_of_several_tests_is_refused():
    message = r"query 'test_one' is the end of 2 node ids: tests/test_a\.py::TestA::test_one, "
    with pytest.raises(fw.ShapeError, match=message):
        node_ids_named("test_one", NODEIDS)


def test_paths_start_at_the_working_folder_too(tmp_path, monkeypatch):
    (tmp_path / "tests" / "web").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "tests" / "web")
    for query in ("test_a.py::test_one", f"{tmp_path}/tests/web/test_a.py::test_one"):
        assert node_ids_named(query, NODEIDS, tmp_path) == ["tests/web/test_a.py::test_one"]
    assert node_ids_named("../test_a.py::test_add[1-2]", NODEIDS, tmp_path) == ADD[:1]


@pytest.mark.parametrize("name", ["f[1]", "f", "a.py::f[a::b[1]]", "a.py::T::f"])
def test_parameters_are_cut_off(name):
    assert without_parameters(name) in {"f", "a.py::f", "a.py::T::f"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    record_coverage(folder)
    return folder


@pytest.mark.parametrize(
    ("folder", "nodeid"),
    [
        (".", "tests/test_limits.py::test_shift"),
        (".", "tests/test_limits.py::test_shift[1]"),
        (".", "test_shift"),
        (".", "test_limits.py::test_shift[2]"),
        ("tests", "test_limits.py::test_shift"),
        ("tests/web", "../test_limits.py::test_shift"),
        ("tests", "{project}/tests/test_limits.py::test_shift"),
    ],
)
def test_commands_take_the_same_forms(project, tmp_path, monkeypatch, folder, nodeid):
    monkeypatch.chdir(project / folder)
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CONFIG", str(tmp_path / "config"))
    nodeid = nodeid.format(project=project)
    database = os.path.relpath(project / ".coverage")

    def printed(*arguments):
        result = CliRunner().invoke(main, [*arguments, "--json"])
        # 1: nothing was found that is like the test, which is known.
        assert result.exit_code in {0, 1}, result.output
        return json.loads(result.stdout)

    similar = printed("similar", str(project), "-q", nodeid)
    assert "tests/test_limits.py::test_shift" not in [m["nodeid"] for m in similar["matches"]]
    near = printed("coverage", "nearest", nodeid, "--coverage", database, "--explain")
    found = [match["nodeid"] for match in near["matches"]]
    asked = nodeid.partition("[")[2].rstrip("]")
    cases = {f"tests/test_limits.py::test_shift[{i}]" for i in "12"}
    # A test without parameters stands for all its cases; one case is near to the other.
    assert cases & set(found) == ({c for c in cases if f"[{asked}]" not in c} if asked else set())
    judged = printed("feedback", "accept", nodeid, "test_small", "--suite", str(project))
    assert judged["query"] == "tests/test_limits.py::test_shift"


def test_coverage_who_takes_files_from_the_working_folder(project, monkeypatch):
    monkeypatch.chdir(project / "tests")
    arguments = ["coverage", "who", "../shop/limits.py:10", "--coverage", "../.coverage"]
    result = CliRunner().invoke(main, arguments)
    assert "tests/test_limits.py::test_small" in result.stdout


@pytest.mark.parametrize(
    ("query", "suggested"),
    [
        ("tests/test_c.py::test_ad", "the nearest is tests/test_a.py::test_add; "),
        # The function has moved to another file or class: its name is right.
        (
            "tests/test_b.py::TestA::test_root[3]",
            "are tests/web/test_a.py::test_root, test_a.py::test_root; ",
        ),
        ("TestB::test_one", "the nearest are tests/test_a.py::TestA::test_one, tests/web/"),
        # In the file that the query names, a less similar name suffices.
        ("web/test_a.py::test_roof_wall", "the nearest is tests/web/test_a.py::test_root; "),
        ("web/test_b.py::test_roof_wall", ""),
        ("tests/test_a.py::unlike", ""),
        ("tests/test_a.py::", ""),
    ],
)
def test_the_nearest_node_ids_are_suggested(query, suggested):
    found = nearest_node_ids(query, NODEIDS)
    assert suggested in found
    assert bool(suggested) == bool(found)


def test_at_most_three_node_ids_are_suggested():
    nodeids = [f"tests/test_{i}.py::test_add" for i in range(9)]
    assert nearest_node_ids("test_7.py::test_add", nodeids).count("::") == 3
    assert "are tests/test_7.py::test_add, " in nearest_node_ids("test_7.py::test_add", nodeids)
