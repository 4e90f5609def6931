"""Doctests and tests of a conftest.py's own kind, which the suite's index does not list."""

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe.changes.selection.unlisted_tests import unlisted_tests
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project

COLLECTOR = """\
import pytest
from shop.limits import clip

class Case(pytest.Item):
    def runtest(self):
        assert clip(1) == 1

class Cases(pytest.File):
    def collect(self):
        yield Case.from_parent(self, name="clip")

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".yaml":
        return Cases.from_parent(parent, path=file_path)
"""
EXAMPLE = "Use it:\n\n>>> from shop.limits import clip\n>>> clip(1)\n1\n"
FILES = {
    "pytest.ini": "[pytest]\naddopts = --doctest-modules --doctest-glob=*.rst\n",
    "shop/__init__.py": "",
    "shop/limits.py": 'def clip(x):\n    """Clip.\n\n    >>> clip(1)\n    1\n    """\n'
    "    return x\n",
    "shop/user.py": 'import shop.limits\n\n\ndef use():\n    """Use.\n\n    >>> use()\n    """\n',
    "shop/other.py": 'def other():\n    """Do.\n\n    >>> other()\n    """\n',
    "shop/plain.py": "",
    "docs/use.rst": EXAMPLE,
    "docs/text.rst": "No example.\n",
    "docs/test_use.txt": EXAMPLE,
    "cases/conftest.py": COLLECTOR,
    "cases/clip.yaml": "1\n",
    "tests/test_other.py": "def test_other():\n    assert 1\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return tmp_path


def unlisted(root, path="."):
    index = SuiteIndex.build(root / path, scorers=["characters"], adapted=False)
    return {one.path.relative_to(root).as_posix() for one in unlisted_tests(index)}


def test_the_files_and_folders_with_tests_that_are_not_listed(project):
    modules = {"shop/limits.py", "shop/user.py", "shop/other.py"}
    assert unlisted(project) == {*modules, "docs/use.rst", "cases"}
    assert unlisted(project, "docs") == {"docs/use.rst"}
    (project / "pytest.ini").write_text("[pytest]\n")
    assert unlisted(project) == {"docs/test_use.txt", "cases"}
    (project / "pytest.ini").write_text("addopts\n")
    assert unlisted(project) == {"docs/test_use.txt", "cases"}


def test_tests_that_are_not_listed_run_if_the_change_may_reach_them(project, capfd):
    diff = change_project(project, {"shop/limits.py": ("return x", "return x + 1")})
    (project / "x.diff").write_text(diff)
    arguments = ["tests-for", ".", "--diff", "x.diff", "--no-coverage"]
    listed = CliRunner().invoke(main, [*arguments, "--format", "ids"])
    assert set(listed.stdout.split()) >= {"cases", "docs/use.rst", "shop/limits.py", "shop/user.py"}
    assert "shop/other.py" not in listed.stdout
    result = CliRunner().invoke(main, [*arguments, "--", "-q"])
    assert result.exit_code == 1
    assert "its doctests are not listed" in result.stderr
    output = capfd.readouterr().out
    for name in ("cases/clip.yaml::clip", "docs/use.rst::use.rst", "limits.py::shop.limits.clip"):
        assert f"FAILED {name}" in output or f"FAILED shop/{name}" in output
    assert "3 failed" in output
    assert "pytest does not know" not in output


def test_a_change_that_cannot_reach_them_leaves_them_out(project):
    diff = change_project(project, {"tests/test_other.py": ("assert 1", "assert 2")})
    (project / "x.diff").write_text(diff)
    arguments = ["tests-for", ".", "--diff", "x.diff", "--no-coverage", "--format", "ids"]
    result = CliRunner().invoke(main, arguments)
    # A text may import any module.
    assert result.stdout.split() == ["tests/test_other.py::test_other", "docs/use.rst"]
