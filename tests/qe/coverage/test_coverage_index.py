"""The index of coverage: tests that run a line, similar lines, or the same lines."""

import numpy as np
import pytest

import flashwasm as fw
from coverage_data import index_of
from flashwasm.qe.coverage import coverage_lookup
from flashwasm.qe.coverage.names_by_end import position_of_file
from flashwasm.qe.suites.node_id_lookup import node_ids_named

ROWS = {
    "": {"lib.py": [1, 4, 12]},
    "t.py::a|setup": {"lib.py": [15]},
    "t.py::a|run": {"lib.py": [2], "other.py": [1, 2, 3]},
    "t.py::b[x|y]|run": {"lib.py": [2], "other.py": [1, 2, 3]},
    "t.py::c|run": {"lib.py": [6, 7], "other.py": [3]},
    "t.py::d|run": {"lib.py": [6]},
    "t.py::e|run": {},
}


def test_tests_are_found_by_the_lines_that_they_run():
    index = index_of(ROWS)
    assert index.tests == ["t.py::a", "t.py::b[x|y]", "t.py::c", "t.py::d", "t.py::e"]
    assert index.who("lib.py", [2, 99, 0]) == {"t.py::a": [2], "t.py::b[x|y]": [2]}
    assert list(index.who("./lib.py", [6, 7])) == ["t.py::c", "t.py::d"]
    assert index.who("src/lib.py", [15]) == {"t.py::a": [15]}  # Its fixture runs line 15.
    assert index.who("lib.py", [2, 15], fixtures=False)["t.py::a"] == [2]
    assert index.who("lib.py", [15], fixtures=False) == {}
    assert index.who("lib.py", [1]) == {}  # It ran outside of tests.
    assert index.tested("lib.py") == {2, 6, 7, 15}
    assert index.lines_of("t.py::c") == [("lib.py", 6), ("lib.py", 7), ("other.py", 3)]


def test_nearest_is_the_cosine():
    index = index_of(ROWS)
    near = index.nearest("t.py::c")
    assert [m.nodeid for m in near] == ["t.py::d", "t.py::a", "t.py::b[x|y]"]
    assert [m.score for m in near] == pytest.approx([3**-0.5, 12**-0.5, 12**-0.5])
    assert [m.shared for m in near] == [1, 1, 1]
    assert index.nearest("a", 1)[0].score == pytest.approx(1)
    assert index.nearest("e") == []


def test_a_name_is_looked_up_once_for_the_lines_that_many_tests_share_with_it(monkeypatch):
    index = index_of(ROWS)
    names = []

    def counted(query, *others):
        names.append(query)
        return node_ids_named(query, *others)

    monkeypatch.setattr(coverage_lookup, "node_ids_named", counted)
    shared = index.lines_shared_with("c", index.tests)
    assert names == ["c"]
    assert shared == [index.shared_lines("t.py::c", other) for other in index.tests]
    assert shared[0] == {"other.py": [3]}
    assert shared[-1] == {}
    assert index.lines_shared_with("t.py::b", ["a"]) == [{"lib.py": [2], "other.py": [1, 2, 3]}]


def test_nearest_agrees_with_a_matrix():
    rng = np.random.default_rng(0)
    matrix = rng.random((30, 50)) < 0.2
    matrix[7] = matrix[3]
    matrix[9] = False
    rows = {f"t.py::{i:02}|run": {"lib.py": np.flatnonzero(r) + 1} for i, r in enumerate(matrix)}
    index = index_of(rows, files=("lib.py",))
    lengths = np.sqrt(matrix.sum(axis=1))
    with np.errstate(invalid="ignore"):
        cosines = np.nan_to_num((matrix * 1.0 @ matrix.T) / np.outer(lengths, lengths))
    for i in range(30):
        found = {m.nodeid: m.score for m in index.nearest(f"t.py::{i:02}", 100)}
        expected = {f"t.py::{j:02}": c for j, c in enumerate(cosines[i]) if c > 0 and j != i}
        assert found == pytest.approx(expected)


def test_tests_with_the_same_lines_are_grouped():
    # Only the fixture of the first of two tests with the same lines runs line 15.
    assert index_of(ROWS).identical() == []
    index = index_of(ROWS | {"t.py::f|setup": {"lib.py": [15]}})
    assert index.identical() == [["t.py::a", "t.py::b[x|y]"]]
    assert index.identical(without=["other.py"]) == [["t.py::a", "t.py::b[x|y]"]]
    alike = {"t.py::a": {"lib.py": [1], "t.py": [5]}, "t.py::b": {"lib.py": [1], "t.py": [9]}}
    index = index_of(alike, files=("lib.py", "t.py"))
    assert index.identical() == []
    assert index.identical(without=["t.py"]) == [["t.py::a", "t.py::b"]]
    # The file b.py is not lib.py.
    assert index.identical(without=["t.py", "b.py"]) == [["t.py::a", "t.py::b"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.who("no.py", [1]), "no file 'no.py' in the coverage database; correct"),
        (lambda i: i.who("lab.py", [1]), "no file 'lab.py' .*; the nearest is .*lib.py; correct"),
        (lambda i: i.nearest("no"), "no test 'no'"),
        (lambda i: i.nearest("a", 0), "k: expected at least 1"),
    ],
)
def test_unknown_names_and_counts_are_refused(call, message):
    with pytest.raises(fw.ShapeError, match=message):
        call(index_of(ROWS))


def test_a_name_in_the_database_means_this_file():
    # A package may contain a folder of its own name.
    names = ["shop/cart.py", "shop/shop/cart.py", "shop/shop/bill.py"]
    rows = {"t.py::a": {"shop/cart.py": [2]}, "t.py::b": {"shop/shop/cart.py": [5]}}
    index = index_of(rows, files=tuple(names))
    assert [index.tested(name) for name in names] == [{2}, {5}, set()]


def test_ends_of_several_names_are_refused():
    rows = {"a/t.py::x": {"a/lib.py": [1]}, "b/t.py::x": {"b/lib.py": [1]}}
    index = index_of(rows, files=("a/lib.py", "b/lib.py"))
    with pytest.raises(
        fw.ShapeError, match=r"'x' is the end of 2 node ids: a/t\.py::x, b/t\.py::x"
    ):
        index.nearest("x")
    with pytest.raises(fw.ShapeError, match=r"'lib\.py' may be a/lib\.py, b/lib\.py"):
        index.who("lib.py", [1])


FILES = ("{}/utils.py", "{}/web/utils.py", "{}/web/other.py", "{}/pkg/unique.py")


@pytest.mark.parametrize("recorded", ["here", "elsewhere", "relative"])
def test_a_path_of_a_diff_means_no_file_deeper_in_the_tree(tmp_path, recorded):
    folder = tmp_path / "repository"
    for name in ("utils.py", "web/utils.py", "web/other.py", "pkg/unique.py", "other.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    below = {"here": f"{folder}/", "elsewhere": "/builds/7/", "relative": ""}[recorded]
    names = [name.replace("{}/", below) for name in FILES]

    def meant(path, root=folder, among=names):
        try:
            return among[position_of_file(path, among, root)].removeprefix(below)
        except fw.ShapeError:
            return None

    assert meant("utils.py") == meant("./utils.py") == "utils.py"
    assert meant("web/utils.py") == meant("web\\utils.py") == "web/utils.py"
    # The database does not have this file, only one with the same end.
    assert meant("other.py") is None
    assert meant("unique.py") is None
    # A file that the change deletes is not there any more.
    (folder / "utils.py").unlink()
    assert meant("utils.py") == "utils.py"
    assert meant("utils.py", among=names[1:]) is None
    # git's paths start from the repository, also in a folder of it.
    (folder / ".git").mkdir()
    if recorded != "relative":
        assert meant("utils.py", folder / "web") == "utils.py"
        assert meant("web/utils.py", folder / "web") == "web/utils.py"


def test_a_path_may_be_longer_or_shorter_than_the_database_has_it(tmp_path):
    assert position_of_file("src/lib.py", ["lib.py", "other.py"], tmp_path) == 0
    assert position_of_file("lib.py", ["/builds/7/lib.py", "/builds/7/web/lib.py"]) == 0
    assert position_of_file("lib.py", ["/builds/src/lib.py"], tmp_path) == 0
    with pytest.raises(fw.ShapeError, match=r"may be /a/lib\.py, /b/lib\.py"):
        position_of_file("lib.py", ["/a/lib.py", "/b/lib.py"], tmp_path)
    with pytest.raises(fw.ShapeError, match=r"may be a/lib\.py, /b/lib\.py"):
        position_of_file("lib.py", ["a/lib.py", "/b/lib.py"], tmp_path)
