"""Gaps: the lines that no test runs, and the test to extend."""

import numpy as np
import pytest

import flashwasm as fw
from coverage_data import LIBRARY, index_of
from flashwasm.cli.coverage.notes import note_left_out
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.gaps import find_gaps
from flashwasm.qe.coverage.line_ranges import lines_in_words
from flashwasm.qe.coverage.unmeasured_sources import outside_sources, unmeasured_sources


def test_gaps_have_their_lines_risk_and_nearest_test(database, folder):
    index = CoverageIndex.load(database)
    gaps, absent = find_gaps(index, folder)
    assert absent == []
    assert {gap.function: gap.lines for gap in gaps} == {
        "sign": [8, 9, 10],
        "Box.fill": [17],
    }
    # The database has the file's absolute path.
    assert {gap.path for gap in gaps} == {"lib.py"}
    first = gaps[0]
    assert first.function == "sign"
    assert first.nearest_test == "t.py::test_sign"
    assert first.components == pytest.approx({"uncovered": 3 / 5, "size": np.log(4), "branches": 2})
    assert first.risk == pytest.approx(3 / 5 * np.log(4) * 2)
    # A diff's lines: the statement of line 17 goes on to line 19.
    (only,), _ = find_gaps(index, folder, only={"lib.py": [18]})
    assert only.lines == [17]
    assert find_gaps(index, folder, only={"lib.py": [2], "new.py": [1]}) == ([], [])
    (folder / "lib.py").unlink()
    assert find_gaps(index, folder) == ([], [str(folder / "lib.py")])


def test_a_function_that_no_test_runs_names_the_test_of_the_nearest_lines(folder):
    (folder / "lib.py").write_text(LIBRARY)
    rows = {"t.py::small": {"lib.py": [2]}, "t.py::box": {"lib.py": [14, 15]}}
    gaps, _ = find_gaps(index_of(rows, files=("lib.py",)), folder)
    assert {gap.function: gap.nearest_test for gap in gaps}["sign"] == "t.py::small"


@pytest.mark.parametrize(
    ("at_import", "outside", "clause"),
    [
        ([1, 8, 9, 10], [8, 9, 10], "; they ran outside of tests, as at import"),
        ([1, 8, 17], [8], "; line 8 ran outside, as at import"),
        ([1], [], ""),
    ],
)
def test_lines_that_ran_at_import_are_named(folder, at_import, outside, clause):
    (folder / "lib.py").write_text(LIBRARY)
    rows = {"t.py::sign": {"lib.py": [5, 6, 7]}, "": {"lib.py": at_import}}
    gaps, _ = find_gaps(index_of(rows, files=("lib.py",)), folder)
    (sign,) = (gap for gap in gaps if gap.function == "sign")
    assert (sign.lines, sign.lines_outside_tests) == ([8, 9, 10], outside)
    assert sign.what_is_missed() == f"no test runs lines 8-10{clause}"
    assert sign.summary() == f"sign: no test runs lines 8-10{clause}; extend t.py::sign."


def test_lines_of_a_diff_are_those_of_one_file(folder):
    files = ("utils.py", "web/utils.py", "web/views.py")
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(LIBRARY)
    absolute = tuple(str(folder / name) for name in files)
    for names in (files, absolute):
        index = index_of({"t.py::small": {name: [2] for name in names}}, files=names)

        def changed(path, index=index):
            gaps, _ = find_gaps(index, folder, only={path: [6]})
            return [gap.path for gap in gaps]

        assert changed("utils.py") == ["utils.py"]
        assert changed("web/utils.py") == ["web/utils.py"]
        assert changed("views.py") == []


def test_tests_and_their_helpers_are_no_product(folder):
    files = ("lib.py", "test_lib.py", "lib_test.py", "web/conftest.py", "tests/helper.py")
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(LIBRARY)
    index = index_of({"t.py::small": {name: [2] for name in files}}, files=files)
    assert {gap.path for gap in find_gaps(index, folder)[0]} == {"lib.py"}
    assert {gap.path for gap in find_gaps(index, folder, tests=True)[0]} == set(files)


def test_only_sources_below_the_root_are_examined(folder):
    files = [folder / "src" / "lib.py", folder / "tests" / "helper.py", folder / "other.py"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(LIBRARY)
    names = tuple(map(str, files))
    index = index_of({"t.py::small": {name: [2] for name in names}}, files=names)
    assert {gap.path for gap in find_gaps(index, folder / "src")[0]} == {"lib.py"}
    assert {gap.path for gap in find_gaps(index, folder)[0]} == {"src/lib.py", "other.py"}
    assert outside_sources(names, folder / "src") == [names[1], names[2]]
    (folder / "docs").mkdir()
    with pytest.raises(fw.ShapeError, match=r"root: .* no sources other than tests below .*docs"):
        find_gaps(index, folder / "docs")
    with pytest.raises(fw.ShapeError, match=r"no sources other than tests below .*tests"):
        find_gaps(index_of({"t.py::a": {}}, files=("test_a.py",)), folder / "tests")


def test_files_of_a_package_that_no_test_imports_are_named(folder):
    for name in ("a.py", "never.py", "web/never.py", "test_a.py", "tests/helper.py"):
        file = folder / "shop" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        (file.parent / "__init__.py").touch()
        file.write_text(LIBRARY)
    (folder / "setup.py").write_text(LIBRARY)
    found = unmeasured_sources(["shop/a.py"], folder)
    assert [name.replace("\\", "/") for name in found] == ["shop/never.py", "shop/web/never.py"]
    assert unmeasured_sources(["setup.py"], folder) == []
    (folder / "shop" / "link.py").symlink_to("nothing")
    assert unmeasured_sources(["shop/a.py"], folder) == found


def test_files_that_coverage_records_only_if_imported_get_another_advice(folder, capsys):
    note_left_out([], ["shop/never.py", "shop/data/rule.py"], folder)
    assert "2 files" in capsys.readouterr().err
    (folder / "shop/data").mkdir(parents=True)
    (folder / "shop/__init__.py").touch()
    note_left_out([], ["shop/never.py", "shop/data/rule.py"], folder)
    package, other = capsys.readouterr().err.splitlines()
    assert "shop/never.py" in package
    assert "measure them with: pytest --fw-record DB" in package
    assert "1 file in folders without __init__.py is not in the database" in other
    assert "coverage.py records such a file only if a test imports it" in other


def test_many_lines_are_shown_by_their_beginning_and_number():
    assert lines_in_words([3]) == "line 3"
    assert lines_in_words([*range(1, 25, 2)]) == f"lines {', '.join(map(str, range(1, 25, 2)))}"
    text = lines_in_words([*range(1, 24, 2), 24, 30, 40, 41])
    assert text.endswith("21, 23-24 and 3 more up to 41")
