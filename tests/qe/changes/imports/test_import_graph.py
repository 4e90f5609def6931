"""The import graph of a project: the files that depend on a file, for every kind of import."""

import pytest

from flashwasm.qe.changes.functions.function_lines import function_lines
from flashwasm.qe.changes.imports.import_graph import ImportGraph
from flashwasm.qe.changes.imports.project_root import project_root
from kept_functions import kept_functions

# Text of a test file in the folder `tests`, and True if it depends on the module lib/deep/part.py.
TESTS = {
    "import": ("import lib.deep.part", True),
    "import of a name": ("from lib.deep.part import x", True),
    "import of a module": ("from lib.deep import part", True),
    "inside a function": ("def test():\n    import lib.deep.part as p", True),
    "if types are checked": ("if False:\n    import lib.deep.part", True),
    "attribute of a package": ("import lib\ndef test(): lib.deep.part.x()", True),
    "star": ("from lib.deep import *", True),
    "by its name": ("import importlib\nm = importlib.import_module('lib.deep.part')", True),
    "importorskip": ("import pytest\nm = pytest.importorskip('lib.deep.part')", True),
    "patch": ("def test(mocker): mocker.patch('lib.deep.part.x')", True),
    "source in a string": ("SOURCE = '''\nimport lib.deep.part\n'''", True),
    "entry point": ("NAME = 'lib.deep.part:main'", True),
    "through another module": ("import lib.user", True),
    "through a star": ("from lib.star import *", True),
    "through a relative import": ("import lib.deep.beside", True),
    "through src": ("import other", True),
    "f-string": ("def test(mocker): mocker.patch(f'lib.deep.{name}.x')", True),
    "percent": ("def test(mocker): mocker.patch('lib.deep.%s.x' % name)", True),
    "format": ("def test(mocker): mocker.patch('lib.{}.x'.format(name))", True),
    "sum": ("PACKAGE = 'lib.deep.'\ndef test(mocker): mocker.patch(PACKAGE + name)", True),
    "end": ("def test(mocker): mocker.patch(f'{lib.__name__}.deep.part.x')", True),
    "end of a name in a package": ("def test(mocker): mocker.patch(PACKAGE + '.part.x')", True),
    "importorskip of a computed name": ("def test(x): pytest.importorskip('l' + x)", True),
    "data that names modules": ("import pickle\nX = pickle.load(open('x', 'rb'))", True),
    "copy by pickle": ("import pickle\nX = pickle.loads(pickle.dumps(1))", False),
    "entry point of a library": ("manager.load_setuptools_entrypoints('x')", True),
    "fixture of a plugin": ("def test(script_runner): script_runner.run('lib')", True),
    "folder with a name of products": ("from lib.build import x", True),
    "join": ("def test(mocker): mocker.patch('.'.join(['lib', name, 'x']))", True),
    "computed plugins": ("pytest_plugins = [name for name in names()]", True),
    "resolve_name": ("import pkgutil\ndef test(name): pkgutil.resolve_name(name)", True),
    "framework": ("INSTALLED_APPS = ['lib']", True),
    "module of a package": ("import part", True),
    "dynamic": ("import importlib\ndef test(name): importlib.import_module(name)", True),
    "by another name": ("from importlib import import_module as f\nf(input())", True),
    "other program": ("import subprocess", True),
    "pytester": ("def test(pytester): pass", True),
    "syntax error": ("def test(:", True),
    "package only": ("import lib", False),
    "other module": ("import lib.apart", False),
    "module of the standard library": ("import types, json", False),
    "name of a module in a text": ("NAMES = ['part', 'user']", False),
    "beginning of another name": ("def test(mocker): mocker.patch(f'other_lib.{name}')", False),
    "computed file name": ("NAME = f'{name}.lib'", False),
    "nothing": ("def test(): pass", False),
}
FILES = {
    "lib/__init__.py": "",
    "lib/apart.py": "import subprocess\n",
    "lib/types.py": "from lib.deep import part\n",
    "lib/user.py": "from .deep.part import x\n",
    "lib/star.py": "from lib.user import *\n",
    "lib/deep/__init__.py": "",
    "lib/deep/beside.py": "from . import part\n",
    "lib/deep/part.py": "x = 1\n",
    "lib/build/x.py": "from lib.deep import part\n",
    "src/other.py": "import lib.user\n",
    "tests/conftest.py": "pytest_plugins = ['plugins.extra']\n",
    "tests/sub/conftest.py": "",
    "plugins/extra.py": "",
}


@pytest.fixture
def write(tmp_path):
    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(("text", "depends"), TESTS.values(), ids=TESTS)
def test_ways_to_import_a_module(write, text, depends):
    root = write({**FILES, "tests/test_it.py": text})
    test = root / "tests/test_it.py"
    graph = ImportGraph(root, [test])
    assert (test in graph.dependents(root / "lib/deep/part.py")) == depends


def test_conftest_files_and_their_plugins_reach_the_tests_below_them(write):
    tests = {"tests/test_a.py": "", "tests/sub/test_b.py": "", "other/test_c.py": ""}
    root = write({**FILES, **tests})
    graph = ImportGraph(root, [root / name for name in tests])

    def reached(name):
        return {file.name for file in graph.dependents(root / name)} & {
            "test_a.py",
            "test_b.py",
            "test_c.py",
        }

    assert reached("tests/conftest.py") == {"test_a.py", "test_b.py"}
    assert reached("tests/sub/conftest.py") == {"test_b.py"}
    assert reached("plugins/extra.py") == {"test_a.py", "test_b.py"}
    assert reached("lib/user.py") == set()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[project.entry-points.pytest11]\nit = "lib.user"\n'),
        ("pyproject.toml", '[project.entry-points.pytest11]\n# A plugin.\n\nit = "lib.user"\n'),
        ("pyproject.toml", '[project.entry-points]\npytest11 = {it = "lib.user"}\n'),
        ("setup.py", "setup(entry_points={'pytest11': ['it = lib.user']})"),
        ("pytest.ini", "addopts = -p lib.user"),
        ("pytest.toml", "[pytest]\naddopts = ['-p', 'lib.user']"),
    ],
)
def test_plugins_of_the_settings_reach_every_test(write, name, text):
    root = write({**FILES, "tests/test_a.py": "", name: text})
    graph = ImportGraph(root, [root / "tests/test_a.py"])
    assert root / "tests/test_a.py" in graph.dependents(root / "lib/deep/part.py")


@pytest.mark.parametrize(
    ("name", "value"), [("PYTEST_PLUGINS", "other,lib.user"), ("PYTEST_ADDOPTS", "-p lib.user")]
)
def test_plugins_of_the_environment_reach_every_test(write, monkeypatch, name, value):
    root = write({**FILES, "tests/test_a.py": ""})
    monkeypatch.setenv(name, value)
    graph = ImportGraph(root, [root / "tests/test_a.py"])
    assert root / "tests/test_a.py" in graph.dependents(root / "lib/deep/part.py")


def test_modules_that_are_loaded_first_reach_every_test(write):
    test = "app/tests/test_a.py"
    for name, text in {
        "app/pytest.ini": "[pytest]\naddopts = -p lib.user\n",
        "app/pyproject.toml": "[tool.pytest.ini_options]\nSHOP_SETTINGS_MODULE = 'lib.user'\n",
        "sitecustomize.py": "import lib.user\n",
        "src/usercustomize.py": "import lib.user\n",
    }.items():
        root = write({**FILES, test: "", name: text})
        graph = ImportGraph(root, [root / test])
        assert root / test in graph.dependents(root / "lib/deep/part.py"), name
        (root / name).unlink()
    graph = ImportGraph(root, [root / test])
    assert root / test not in graph.dependents(root / "lib/deep/part.py")


def test_a_package_with_the_name_of_a_folder_that_is_left_out(write):
    root = write(
        {
            **FILES,
            "src/build/__init__.py": "from build import inner\n",
            "src/build/inner.py": "import lib.user\n",
            "build/lib/other.py": "",
            "tests/test_a.py": "import build\n",
        }
    )
    graph = ImportGraph(root, [root / "tests/test_a.py"])
    assert root / "tests/test_a.py" in graph.dependents(root / "lib/deep/part.py")
    assert root / "build/lib/other.py" not in graph.files


def test_links_to_a_file_and_to_a_folder(write):
    tests = {
        "tests/test_a.py": "import linked.deep.part\n",
        "tests/test_b.py": "import lib.alias\n",
    }
    root = write({**FILES, **tests, "plain.py": ""})
    (root / "linked").symlink_to(root / "lib", target_is_directory=True)
    (root / "lib/alias.py").symlink_to(root / "plain.py")
    graph = ImportGraph(root, [root / name for name in tests])

    def reached(path):
        return {test.name for file in graph.find(path) for test in graph.dependents(file)} & {
            "test_a.py",
            "test_b.py",
        }

    assert reached("lib/deep/part.py") == {"test_a.py"}
    assert reached("plain.py") == {"test_b.py"}


def test_deleted_files_count_by_their_old_names(write):
    root = write({**FILES, "tests/test_a.py": "import lib.gone\nfrom lib import lost"})
    for name in ("lib/gone.py", "lib/lost.py"):
        graph = ImportGraph(root, [root / "tests/test_a.py"], [root / name])
        assert graph.find(name) == {root / name}
        assert root / "tests/test_a.py" in graph.dependents(root / name)


def test_the_root_of_a_project(write):
    root = write({"lib/a.py": "", "tests/unit/test_a.py": ""})
    assert project_root(root / "tests", ["lib/a.py"]) == root
    assert project_root(root / "tests", ["gone.py"]) == root / "tests"
    (root / ".git").mkdir()
    assert project_root(root / "tests/unit", ["gone.py"]) == root


def test_lines_that_run_only_if_a_function_is_called(write):
    source = """\
X = 1
@cache
def f(a=(
    2
)):
    return 3

class C:
    y = 4
    async def g(self):
        def h(): pass
        return 5
def one(): return 6
def lazy():
    global X
    X = 2
def kept():
    return _cache[0]
"""
    lines = function_lines(write({"a.py": source, "b.py": "("}) / "a.py")
    assert lines.bodies == {6, 11, 12, 15, 16, 18}
    assert lines.cached == [{6}]
    assert [*kept_functions(source)] == ["lazy", "kept"]
    assert function_lines(write({}) / "b.py") is None
