"""A folder for each test, and a database that coverage.py itself wrote."""

import pytest

from coverage_data import LIBRARY


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database(folder):
    """Return a database that coverage.py itself wrote, with contexts as pytest-cov names them."""
    coverage = pytest.importorskip("coverage")
    data = coverage.CoverageData(str(folder / ".coverage"))
    for context, lines in {
        "": [1, 4, 12, 13],
        "t.py::test_small|run": [2],
        "t.py::test_sign|run": [6, 7],
        "t.py::test_sign_again|run": [6, 7],
        "t.py::test_box|setup": [14],
        "t.py::test_box|run": [14, 15],
    }.items():
        data.set_context(context)
        data.add_lines({str(folder / "lib.py"): lines})
    data.write()
    data.close()
    (folder / "lib.py").write_text(LIBRARY)
    return folder / ".coverage"
