"""Tests that depend on a function although coverage does not show that they run it.

Each case has a changed module, a test that runs its function directly, and a test that breaks.
"""

from dataclasses import dataclass

from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project, run_pytest

ONE = "def f():\n    return 1\n"
TWO = ("return 1", "return 2")
# Source of a test that runs the changed function, so that coverage shows one caller.
DIRECT = "from shop.CASE import f\n\ndef test_direct():\n    f()\n"


@dataclass(frozen=True)
class Case:
    """A dependency that coverage does not show. In each text, CASE is the name of the module.

    Parameters
    ----------
    broken : str
        Source of the test file with ``test_broken``, which the change breaks.
    user : str
        Source of another module of the project, ``CASE_user``.
    helper : str
        Source of a helper of the tests, ``CASE_helper``.
    module : str
        Source of the changed module.
    edit : tuple of str
        Text of the module before and after the change.
    direct : str
        Source of the test file that runs the changed function.
    """

    broken: str
    user: str = ""
    module: str = ONE
    edit: tuple = TWO
    direct: str = DIRECT
    helper: str = ""


def first_caller(user):
    """Return a case in which the first of two tests fills what the second one reads."""
    broken = "from shop.CASE_user import get\n\ndef test_first():\n    get()\n\n"
    return Case(f"{broken}def test_broken():\n    assert get() == 1\n", user)


def record(root, cases, *arguments):
    """Write the files of cases, and return the project's root, index, coverage and cases."""
    files = {"pytest.ini": "[pytest]\n", "shop/__init__.py": ""}
    files["tests/test_other.py"] = "import shop\n\ndef test_other():\n    assert shop\n"
    for name, case in cases.items():
        files |= {f"shop/{name}.py": case.module, f"shop/{name}_user.py": case.user}
        files |= {f"tests/test_{name}.py": case.broken, f"tests/test_{name}_direct.py": case.direct}
        files[f"tests/{name}_helper.py"] = case.helper
        for path in list(files)[-5:]:
            files[path] = files[path].replace("CASE", name)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    done = run_pytest(root, "-q", "--fw-record=.coverage", *arguments, "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    index = SuiteIndex.build(root / "tests", scorers=["characters"], adapted=False)
    return root, index, CoverageIndex.load(root / ".coverage"), cases


def assert_selected(recorded, name):
    """Assert that the change of a case selects its two tests, and no test of other files."""
    root, index, coverage, cases = recorded
    path = f"shop/{name}.py"
    before = (root / path).read_text()
    try:
        diff = change_project(root, {path: cases[name].edit})
        selection = safe_selection(index, read_diff(diff), coverage)
    finally:
        (root / path).write_text(before)
    selected = {one.test.nodeid for one in selection.sure}
    assert f"tests/test_{name}_direct.py::test_direct" in selected
    assert f"tests/test_{name}.py::test_broken" in selected
    assert "tests/test_other.py::test_other" not in selected
