"""A small project with a package and tests, its recorded coverage, and changes to it as diffs."""

import difflib
import os
import subprocess
import sys
from pathlib import Path

import flashwasm

PROJECT = {
    "pytest.ini": "[pytest]\n",
    "shop/__init__.py": 'VERSION = "1.0"\n',
    "shop/limits.py": """\
LIMIT = 999

def traced(text):
    def decorate(function):
        function.text = text
        return function
    return decorate

def clip(x):
    return min(x, LIMIT)

@traced("def clip")
def shift(x, by=1):
    return x + by
""",
    "shop/orders.py": """\
from . import limits

def order(*items):
    return [limits.clip(item) for item in items]

def total(items):
    result = 0
    for item in items:
        result += item
    return result
""",
    "shop/text.py": """\
def title(text):
    return text.title()

def plain(text):
    return text.lower()
""",
    "tests/conftest.py": """\
import pytest

@pytest.fixture
def name():
    return "a name"
""",
    "tests/web/conftest.py": """\
import pytest

@pytest.fixture
def page():
    return "page"
""",
    "tests/helper.py": """\
from shop.orders import order

def big_order():
    return order(500, 600)
""",
    "tests/test_limits.py": """\
import pytest
from shop.limits import clip, shift

def test_small():
    assert clip(3) == 3

def test_large():
    assert clip(5000) == 999

@pytest.mark.parametrize("x", [1, 2])
def test_shift(x):
    assert shift(x) == x + 1

def test_decorated():
    assert shift.text == "def clip"
""",
    "tests/test_orders.py": """\
import pytest
from helper import big_order
from shop.orders import *

@pytest.fixture
def sums():
    return [1, 2]

def test_big():
    assert big_order() == [500, 600]

@pytest.mark.parametrize("text", ["def x"])
def test_sums(sums, text):
    assert total(sums) == 3
""",
    "tests/test_text.py": """\
def test_title(name):
    from shop.text import title
    assert title(name) == "A Name"

def test_plain():
    from shop.text import plain
    assert plain("A") == "a"
""",
    "tests/web/test_page.py": "def test_page(page):\n    assert page == 'page'\n",
    "tests/web/test_version.py": """\
import shop

def test_version():
    assert shop.VERSION == "1.0"
""",
}


def write_project(folder):
    """Write the project into a folder."""
    for name, content in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")


def run_pytest(folder, *options):
    """Run pytest in a folder, whose packages can be imported, and return the finished process."""
    # The PYTEST_ variables of the current test run would affect the new run.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    # Add the folder of this package, which need not be installed.
    source = str(Path(flashwasm.__file__).parents[1])
    env["PYTHONPATH"] = os.pathsep.join([str(folder), source])
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "flashwasm.pytest_plugin", *options],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def record_coverage(folder, *options):
    """Run the project's tests with --fw-record; return the path of the database."""
    database = folder / ".coverage"
    done = run_pytest(folder, f"--fw-record={database}", *options, "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    return database


def change_project(folder, edits):
    """Change the project in a folder; return the diff.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the project.
    edits : dict of str to tuple of str or None
        For each file, the old text and the new one, which replaces the old text everywhere. If the
        old text is "", the new one is appended. None deletes the file.
    """
    parts = []
    for name, edit in edits.items():
        path = folder / name
        before = path.read_text("utf-8") if path.exists() else ""
        if edit is None:
            path.unlink()
            after = ""
        else:
            old, new = edit
            assert old in before, f"{name} has no {old!r}"
            after = before.replace(old, new) if old else before + new
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(after, "utf-8")
        lines = [text.splitlines(keepends=True) for text in (before, after)]
        names = [f"a/{name}" if before else "/dev/null", f"b/{name}" if after else "/dev/null"]
        mode = "" if before and after else f"{'deleted' if before else 'new'} file mode 100644\n"
        parts += [f"diff --git a/{name} b/{name}\n{mode}", *difflib.unified_diff(*lines, *names)]
    return "".join(parts)
