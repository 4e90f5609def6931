"""A change of comments and layout selects the tests that can notice it, and no others.

Each case has a module, of which such a change breaks one test. Another test also runs the module.
"""

from dataclasses import dataclass

import pytest

from flashwasm.qe.changes.diffs.unified_diff import read_diff
from flashwasm.qe.changes.selection.safe_selection import safe_selection
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.similarity.suite_index import SuiteIndex
from small_project import change_project, run_pytest

COMMENT = ("def f", "# A comment.\ndef f")
WARNS = "import warnings\n\ndef f():\n    warnings.warn('old', stacklevel=1)\n"


@dataclass(frozen=True)
class Case:
    """A test that notices layout. In each text, CASE is the name of the module.

    Parameters
    ----------
    body : str
        Statements of the test, one on each line.
    module : str
        Source of the changed module.
    user : str
        Source of another module of the project, ``CASE_user``.
    edit : tuple of str
        Text of the module before and after the change.
    imports : str
        First line of the test file.
    arguments : str
        Fixtures of the test.
    """

    body: str
    module: str = "def f():\n    return 1\n"
    user: str = ""
    edit: tuple = COMMENT
    imports: str = (
        "import inspect, io, linecache, logging, os, subprocess, sys, traceback, warnings"
    )
    arguments: str = ""

    def test(self):
        """Return the source of the test file."""
        body = "".join(f"    {line}\n" for line in self.body.split("\n"))
        head = f"{self.imports}\nimport pytest\nimport shop.CASE\nfrom shop.CASE import f\n"
        return f"{head}\ndef test_broken({self.arguments}):\n{body}"


CASES = {
    "source": Case(
        "assert inspect.getsource(f) == 'def f():\\n    return 1\\n'",
        edit=("return 1", "return 1  # one"),
    ),
    "source_shown_by_the_project": Case(
        "from shop.CASE_user import show\nassert len(show(f)) == 22",
        user="import inspect\n\ndef show(g):\n    return inspect.getsource(g)\n",
        edit=("return 1", "return 1  # one"),
        imports="",
    ),
    "comments": Case("assert inspect.getcomments(f) is None"),
    "help": Case(
        "help(f)\nassert 'A comment' not in capsys.readouterr().out", arguments="capsys", imports=""
    ),
    "line_of_a_file": Case("assert linecache.getline(shop.CASE.__file__, 1) == 'def f():\\n'"),
    "text_of_a_file": Case("assert open(shop.CASE.__file__).read().startswith('def')"),
    "name_of_a_file": Case("assert open('shop/CASE.py').read().startswith('def')", imports=""),
    "module_that_reads_itself": Case(
        "assert f() < 50", "def f():\n    return len(open(__file__).read())\n", imports=""
    ),
    "folder_that_the_project_lists": Case(
        "from shop.CASE_user import longest\nassert longest('shop') < 900",
        user="from pathlib import Path\n\ndef longest(folder):\n"
        "    return max(len(one.read_text()) for one in Path(folder).iterdir() if one.is_file())\n",
        edit=("def f", f"# {'Long. ' * 200}\ndef f"),
        imports="",
    ),
    "line_of_a_frame": Case(
        "assert f() == 4",
        "import sys\n\ndef f():\n    return sys._getframe().f_lineno\n",
        imports="",
    ),
    "line_of_a_warning": Case(
        "with pytest.warns(UserWarning) as found:\n    f()\nassert found[0].lineno == 4", WARNS
    ),
    "line_of_a_function": Case("assert f.__code__.co_firstlineno == 1"),
    "traceback": Case(
        "try:\n    f()\nexcept ZeroDivisionError:\n"
        "    assert 'line 2, in f' in traceback.format_exc()",
        "def f():\n    return 1 / 0\n",
    ),
    "traceback_printed_by_the_project": Case(
        "shop.CASE_user.run(f)\nassert '1 / 0\\n' in capsys.readouterr().err",
        "def f():\n    return 1 / 0\n",
        user="import traceback\n\ndef run(g):\n    try:\n        g()\n"
        "    except ZeroDivisionError:\n        traceback.print_exc()\n",
        edit=("1 / 0", "1 / 0  # never"),
        imports="import shop.CASE_user",
        arguments="capsys",
    ),
    "line_in_a_log": Case(
        "stream = io.StringIO()\nshop.CASE_user.begin(stream)\nf()\n"
        "assert stream.getvalue().startswith('4')",
        "import logging\n\ndef f():\n    logging.getLogger('CASE').error('bad')\n",
        user="import logging\n\ndef begin(stream):\n    handler = logging.StreamHandler(stream)\n"
        "    handler.setFormatter(logging.Formatter('%(lineno)d'))\n"
        "    logging.getLogger('CASE').addHandler(handler)\n",
        imports="import io, shop.CASE_user",
    ),
    "line_in_the_log_of_pytest": Case(
        "f()\nassert '4 bad' in caplog.text",
        "import logging\n\ndef f():\n    logging.getLogger('CASE').error('bad')\n",
        imports="",
        arguments="caplog",
    ),
    "other_program": Case(
        "command = 'import shop.CASE; print(shop.CASE.f())'\n"
        "done = subprocess.run([sys.executable, '-c', command], stdout=-1)\n"
        "assert done.stdout.split() == [b'4']",
        "import sys\n\ndef f():\n    return sys._getframe().f_lineno\n",
        imports="import subprocess, sys",
    ),
    "lines_that_run": Case(
        "lines = []\ndef trace(frame, event, _):\n    lines.append(event)\n    return trace\n"
        "old = sys.gettrace()\nsys.settrace(trace)\nf()\nsys.settrace(old)\n"
        "assert lines.count('line') == 1",
        "def f():\n    x = 1; return x\n",
        edit=("x = 1; return x", "x = 1\n    return x"),
    ),
    "warning_once_for_each_line": Case(
        "with warnings.catch_warnings(record=True) as found:\n"
        "    warnings.simplefilter('default')\n    f()\nassert len(found) == 1",
        "import warnings\n\ndef old():\n    warnings.warn('old', stacklevel=2)\n\n"
        "def f():\n    old(); old()\n",
        edit=("old(); old()", "old()\n    old()"),
    ),
}
PLAIN = "import shop.CASE, shop.CASE_user\n\ndef test_plain():\n    assert shop.CASE.f\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a project with the files of all cases, its index and its coverage."""
    pytest.importorskip("coverage")
    root = tmp_path_factory.mktemp("project")
    files = {"pytest.ini": "[pytest]\n", "shop/__init__.py": ""}
    files["tests/test_other.py"] = "import shop\n\ndef test_other():\n    assert shop\n"
    for name, case in CASES.items():
        texts = {f"shop/{name}.py": case.module, f"shop/{name}_user.py": case.user}
        texts |= {f"tests/test_{name}.py": case.test(), f"tests/test_{name}_plain.py": PLAIN}
        files |= {path: text.replace("CASE", name) for path, text in texts.items()}
    for path, text in files.items():
        (root / path).parent.mkdir(exist_ok=True, parents=True)
        (root / path).write_text(text)
    done = run_pytest(root, "-q", "--fw-record=.coverage", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    index = SuiteIndex.build(root / "tests", scorers=["characters"], adapted=False)
    coverage = CoverageIndex.load(root / ".coverage")
    diffs = {
        name: read_diff(change_project(root, {f"shop/{name}.py": case.edit}))
        for name, case in CASES.items()
    }
    return root, index, coverage, diffs


def test_the_changes_break_the_tests(recorded):
    done = run_pytest(recorded[0], "-q", "-rf", "tests")
    broken = {line.split("::")[0] for line in done.stdout.split("\n") if line.startswith("FAILED")}
    assert broken == {f"FAILED tests/test_{name}.py" for name in CASES}


@pytest.mark.parametrize("with_coverage", [False, True], ids=["imports", "coverage"])
@pytest.mark.parametrize("name", CASES)
def test_a_test_that_notices_layout(recorded, name, with_coverage):
    _, index, coverage, diffs = recorded
    selection = safe_selection(index, diffs[name], coverage if with_coverage else None)
    assert selection.layout == [f"shop/{name}.py"]
    assert selection.only_layout
    selected = {one.test.nodeid for one in selection.sure}
    assert f"tests/test_{name}.py::test_broken" in selected
    assert "tests/test_other.py::test_other" not in selected
