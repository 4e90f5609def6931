"""Documentation that no test can read, and the ways in which a test can."""

import pytest

from flashwasm.qe.changes.readers.documentation_files import documentation_readers

UNREAD = ["CHANGELOG.md", "README.rst", "docs/usage.rst", "docs/sub/Notes.md", "LICENSE.txt"]
READ = {
    "data": "data.json",
    "list of packages": "requirements.txt",
    "test of pytest": "docs/test_usage.txt",
    "folder of tests": "tests/data/page.md",
    "package": "shop/notes.md",
    "folder in a package": "shop/pages/notes.md",
    "build file": "CMakeLists.txt",
    "settings": "tox.ini",
}
# A file of the project, and its text, by which a test reads docs/usage.md.
READERS = {
    "by name": ("tests/test_x.py", 'TEXT = open("docs/usage.md").read()'),
    "by its stem": ("tests/test_x.py", 'TEXT = page("usage")'),
    "by its suffix": ("tests/conftest.py", 'PAGES = ROOT.glob("**/*.md")'),
    "by its folder": ("tests/test_x.py", 'PAGES = os.listdir(ROOT / "docs")'),
    "by a list of all files": ("tests/test_x.py", "for _ in os.walk(Path(__file__).parent): pass"),
    "by a list of the working folder without a name": ("tests/test_x.py", "os.listdir()"),
    "by a list of the working folder": ("tests/test_x.py", "os.listdir(), os.listdir('.')"),
    "in the program": ("shop/cli.py", 'HELP = read_text("usage.md")'),
    "as doctest": ("tests/test_x.py", "import doctest"),
    "by a plugin": ("tests/conftest.py", "from sybil import Sybil"),
    "doctest-glob": ("pytest.ini", "[pytest]\naddopts = --doctest-glob=*.md"),
    "testpaths": ("pytest.ini", "[pytest]\ntestpaths = tests docs/usage.md"),
    "pyproject": ("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["docs/usage.md"]'),
    "settings in disorder": ("pyproject.toml", '[tool.pytest.ini_options]\nx = ["docs/usage.md"'),
}
NO_READERS = {
    "description of the package": ("pyproject.toml", '[project]\nreadme = "docs/usage.md"'),
    "setup.py": ("setup.py", 'TEXT = open("docs/usage.md").read()'),
    "Sphinx": ("docs/conf.py", 'source_suffix = ".md"'),
    "list of another folder": ("tests/test_x.py", "def test(tmp_path): list(tmp_path.iterdir())"),
    "stem as a common word": ("shop/cli.py", "def usage(self): return self.usage"),
    "examples in modules": ("pytest.ini", "[pytest]\naddopts = --doctest-modules"),
    "other settings": ("pytest.ini", "[pytest]\naddopts = -q\ntestpaths = tests"),
}


@pytest.fixture
def project(tmp_path):
    files = {"shop/__init__.py": "", "shop/cli.py": "", "tests/test_x.py": "", "pytest.ini": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def unread(project, path):
    files = [*project.rglob("*.py")]
    return documentation_readers(path, project, project, files) == set()


@pytest.mark.parametrize("path", UNREAD)
def test_documentation_that_nothing_names_is_unread(project, path):
    assert unread(project, path)


@pytest.mark.parametrize("path", READ.values(), ids=READ)
def test_other_files_may_be_read(project, path):
    assert not unread(project, path)


@pytest.mark.parametrize(("name", "text"), READERS.values(), ids=READERS)
def test_documentation_that_a_test_may_read(project, name, text):
    assert unread(project, "docs/usage.md")
    if name == "pyproject.toml":
        (project / "pytest.ini").unlink()
    (project / name).write_text(text)
    readers = documentation_readers("docs/usage.md", project, project, [*project.rglob("*.py")])
    assert readers == ({project / name} if name.endswith(".py") else None)


@pytest.mark.parametrize(("name", "text"), NO_READERS.values(), ids=NO_READERS)
def test_documentation_that_is_named_elsewhere_only(project, name, text):
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(text)
    assert unread(project, "docs/usage.md")
