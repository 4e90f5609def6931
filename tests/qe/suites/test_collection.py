"""Collection of a suite by parsing: the same tests as pytest collects, without any import."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from flashwasm.errors import ShapeError
from flashwasm.qe import collect
from flashwasm.qe.suites import outline_cache
from flashwasm.qe.suites.outline_parser import parse_outline
from flashwasm.qe.suites.source_files import walk_files
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep every test away from the user's folders; return the suite's folder, and work in it."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "suite").mkdir()
    monkeypatch.chdir(tmp_path / "suite")
    return tmp_path / "suite"


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())


def collected(folder):
    """Return all node ids, including those under which classes inherit a test."""
    return sorted(i for test in collect(folder).tests for i in (test.nodeid, *test.also))


# Sources of modules, and the names of the tests in each. None stands for a module that pytest would
# have to run to know.

MODULES = {
    "functions": ("def test_a(): ...\nasync def test_b(): ...\ndef helper(): ...", "test_a test_b"),
    "no test by a prefix": ("def testing(): ...\ndef attest(): ...", "testing"),
    "conditional": ("if unknown:\n    def test_a(): ...\nelse:\n    def test_b(): ...", None),
    "parametrised once": (
        """
        import pytest
        @pytest.mark.parametrize("x", [1, 2, 3])
        def test_a(x): ...
        """,
        "test_a",
    ),
    "the later of two definitions": ("def test_a(): ...\ndef test_a(): ...", "test_a"),
    "fixture": ("import pytest\n@pytest.fixture\ndef test_a(): ...\ndef test_b(): ...", "test_b"),
    "classes": (
        """
        class TestA:
            def test_x(self): ...
            async def test_y(self): ...
            @staticmethod
            def test_z(): ...
            @property
            def test_no(self): return 1
            def helper(self): ...
        class Other:
            def test_x(self): ...
        """,
        "TestA::test_x TestA::test_y TestA::test_z",
    ),
    "nested": (
        """
        class TestA:
            class TestB:
                def test_x(self): ...
                class TestC:
                    def test_x(self): ...
            class Other:
                def test_x(self): ...
        class Outer:
            class TestD:
                def test_x(self): ...
        """,
        "TestA::TestB::TestC::test_x TestA::TestB::test_x",
    ),
    "nested in a class that is left out": (
        """
        class TestA:
            def __init__(self): ...
            class TestB:
                def test_x(self): ...
        """,
        "",
    ),
    "constructors": (
        """
        class TestA:
            def __init__(self): ...
            def test_x(self): ...
        class TestB(TestA):
            def test_y(self): ...
        class TestC:
            def __new__(cls): return object.__new__(cls)
            def test_x(self): ...
        class TestD:
            __test__ = True
            def __init__(self): ...
            def test_x(self): ...
        """,
        "",
    ),
    "__test__": (
        """
        class TestA:
            __test__ = False
            def test_x(self): ...
        class TestB(TestA):
            __test__ = True
        class Odd:
            __test__ = True
            def test_y(self): ...
        """,
        "Odd::test_y TestB::test_x",
    ),
    "unittest of any name": (
        """
        import unittest
        from unittest import TestCase as Base, IsolatedAsyncioTestCase
        class Checks(unittest.TestCase):
            def __init__(self, *args): super().__init__(*args)
            def test_x(self): ...
            class TestInner:
                def test_no(self): ...
        class More(Checks):
            def test_y(self): ...
        class Waits(IsolatedAsyncioTestCase):
            async def test_z(self): ...
        """,
        "Checks::test_x More::test_x More::test_y Waits::test_z",
    ),
    "inherited": (
        """
        class Base:
            def test_x(self): ...
            def test_y(self): ...
            class TestInner:
                def test_z(self): ...
        class TestA(Base):
            test_y = None
        class TestB(Base):
            def test_x(self): ...
        """,
        """
        TestA::TestInner::test_z TestA::test_x
        TestB::TestInner::test_z TestB::test_x TestB::test_y
        """,
    ),
    "a nested base": (
        """
        class TestA:
            class Base:
                def test_x(self): ...
            class TestB(Base):
                def test_y(self): ...
        """,
        "TestA::TestB::test_x TestA::TestB::test_y",
    ),
    "circular bases": ("class TestA(TestA):\n    def test_x(self): ...", None),
}
RUNNABLE = {name: case for name, case in MODULES.items() if case[1] is not None}


@pytest.mark.parametrize(("source", "expected"), RUNNABLE.values(), ids=RUNNABLE)
def test_names_of_the_tests_in_a_module(folders, source, expected):
    write(folders, {"test_it.py": source})
    assert collected(folders) == sorted(f"test_it.py::{name}" for name in expected.split())


def test_both_branches_of_an_if_are_collected_and_circular_bases_end(folders):
    files = {f"test_{i}.py": MODULES[n][0] for i, n in enumerate(("conditional", "circular bases"))}
    write(folders, files)
    expected = ["test_0.py::test_a", "test_0.py::test_b", "test_1.py::TestA::test_x"]
    assert collected(folders) == expected


# The same suite, collected by pytest itself.

SUITE = {
    **{f"made/test_{i}.py": source for i, (source, _) in enumerate(RUNNABLE.values())},
    "unit/first_test.py": "def test_suffix(): ...",
    "unit/tests.py": "def test_not_this_file(): ...",
    "unit/deep/er/test_deep.py": "def test_deep(): ...",
    "unit/build/test_left_out.py": "def test_x(): ...",
    "unit/.hidden/test_left_out.py": "def test_x(): ...",
    "base.py": """
        import unittest
        class Shared(unittest.TestCase):
            def test_shared(self): ...
        class TestPlain:
            def test_plain(self): ...
        def test_function(): ...
        """,
    "unit/test_imports.py": """
        from base import Shared, TestPlain, test_function
        class Mine(Shared):
            def test_mine(self): ...
        """,
    "conftest.py": "import sys, pathlib; sys.path.insert(0, str(pathlib.Path(__file__).parent))",
}


def pytest_collects(path, *, cwd):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [*command, path], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "::" in line and " " not in line]
    # The cases of a parametrised test are one test here.
    return sorted({re.sub(r"\[.*", "", line) for line in lines})


@pytest.mark.parametrize(
    ("path", "cwd", "settings"),
    [
        (".", ".", None),
        ("unit", ".", None),
        ("unit/deep/er/test_deep.py", ".", None),
        ("unit/tests.py", "unit", None),
        ("unit/deep", "unit", "pytest.ini"),
        ("unit/deep", "unit", "pyproject.toml"),
        ("unit/deep", "unit", "setup.py"),
    ],
)
def test_collects_what_pytest_collects(folders, monkeypatch, path, cwd, settings):
    """Node ids are relative to pytest's rootdir, even if PATH is a subfolder or a file."""
    write(folders, SUITE)
    if settings:
        write(folders, {settings: ""})
    monkeypatch.chdir(folders / cwd)
    absolute = str(folders / path)
    expected = pytest_collects(absolute, cwd=folders / cwd)
    assert expected
    assert collected(absolute) == expected
    assert collected(os.path.relpath(absolute)) == expected


@pytest.mark.parametrize(
    ("name", "content", "is_root"),
    [
        ("pytest.toml", "", True),
        ("tox.ini", "[pytest]\n", True),
        ("tox.ini", "[tox]\n", False),
        ("setup.cfg", "[metadata]\n[tool:pytest]\n", True),
        ("pyproject.toml", '[project]\nname = "x"\n[tool.pytest.ini_options]\n', True),
    ],
)
def test_pytests_settings_decide_the_root(folders, monkeypatch, name, content, is_root):
    write(folders, {name: content, "a/b/test_x.py": "def test_x(): ..."})
    monkeypatch.chdir(folders / "a")
    root = folders if is_root else folders / "a"
    assert collect("b").root == root
    assert pytest_collects("b", cwd=folders / "a") == collected("b")


# The entry of a test.


def test_source_has_decorators_and_line_is_that_of_def(folders):
    source = '''\
        import pytest

        class TestA:
            @pytest.mark.slow
            @pytest.mark.parametrize(
                "x", [1, 2]
            )
            def test_x(self, x):
                """Say so."""
                assert x

        def test_y(): pass
        '''
    write(folders, {"test_a.py": source})
    tests = {test.nodeid: test for test in collect(folders).tests}
    method, function = tests["test_a.py::TestA::test_x"], tests["test_a.py::test_y"]
    assert (method.line, function.line) == (8, 12)
    lines = dedent(source).splitlines()
    assert method.source == dedent("\n".join(lines[3:10]))
    assert function.source == "def test_y(): pass"
    assert method.path == folders / "test_a.py"


def test_an_inherited_test_is_one_entry_named_after_the_class_that_defines_it(folders):
    source = "class TestA:\n    def test_x(self): ...\nclass TestB(TestA): ...\n"
    # The file that imports the class is read before the file that defines it.
    write(folders, {"test_1.py": "from test_2 import TestA", "test_2.py": source})
    (test,) = collect(folders).tests
    assert (test.nodeid, test.path) == ("test_2.py::TestA::test_x", folders / "test_2.py")
    assert test.also == ("test_1.py::TestA::test_x", "test_2.py::TestB::test_x")


# Encodings, and files that cannot be read.


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"# coding: latin-1\ndef test_x(): '\xe9'", "é"),
        (b"# -*- coding: cp1251 -*-\ndef test_x(): '\xe9'", "й"),
        (b"\xef\xbb\xbfdef test_x(): '\xc3\xa9'", "é"),
        ("def test_x(): 'é'\r\n".encode(), "é"),
        (b"def test_x(): r'\xc3\xa9' '\\d'", "\\d"),
    ],
    ids=["latin-1", "cp1251", "byte order mark", "crlf", "invalid escape"],
)
def test_files_are_decoded_as_python_decodes_them(folders, content, text):
    write(folders, {"test_x.py": content})
    (test,) = collect(folders).tests
    assert text in test.source
    assert "\r" not in test.source


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("def test_x(:", r"not Python: .*\(line 1\)"),
        (b"def test_x(): '\xff'", "not Python: .*encoding"),
        (b"# coding: no-such\ndef test_x(): ...", "not Python: unknown encoding"),
        (b"# coding: hex\ndef test_x(): ...", "not Python: 'hex'"),
        (b"# coding: ascii\nx = '\xc3'", "not Python: 'ascii' codec"),
        (b"\x7fELF\x00\x01\x02", "not Python: "),
        ("x = " + "(" * 5000 + ")" * 5000, "not Python: "),
        ("x = " + "-" * 100_000 + "1", "not Python: "),
        ("#" * (1 << 24), "not Python: .* bytes, more than"),
    ],
    ids=["syntax", "utf-8", "encoding", "codec", "ascii", "binary", "nested", "deep", "huge"],
)
def test_files_that_cannot_be_read_are_skipped(folders, content, reason):
    write(folders, {"test_bad.py": content, "test_good.py": "def test_x(): ..."})
    suite = collect(folders)
    assert [test.nodeid for test in suite.tests] == ["test_good.py::test_x"]
    (skipped,) = suite.skipped
    assert skipped.path == folders / "test_bad.py"
    assert re.match(reason, skipped.reason)
    assert "\n" not in skipped.reason


def test_links_are_followed_once_and_pipes_are_not_opened(folders):
    write(folders, {"a/test_x.py": "def test_x(): ..."})
    (folders / "a" / "loop").symlink_to(folders)
    (folders / "a" / "test_self.py").symlink_to(folders / "a" / "test_self.py")
    (folders / "a" / "test_gone.py").symlink_to(folders / "nowhere")
    os.mkfifo(folders / "a" / "test_pipe.py")
    suite = collect(folders)
    assert [test.nodeid for test in suite.tests] == ["a/test_x.py::test_x"]
    names = {str(skipped.path.relative_to(folders)): skipped.reason for skipped in suite.skipped}
    assert names.keys() == {"a/loop", "a/test_self.py", "a/test_gone.py", "a/test_pipe.py"}
    assert "read already" in names["a/loop"]
    assert "link to nothing" in names["a/test_gone.py"]
    assert "not a regular file" in names["a/test_pipe.py"]


def test_nothing_is_imported(folders):
    source = "open('ran', 'w').close()\nraise SystemExit\ndef test_x(): ...\n"
    write(folders, {"test_x.py": source, "conftest.py": source, "__init__.py": source})
    assert collected(folders) == ["test_x.py::test_x"]
    assert not (folders / "ran").exists()
    assert not any("test_x" in name.split(".") for name in sys.modules)


@pytest.mark.parametrize("path", ["no-such", "no-such.py", "no-such/deeper"])
def test_a_path_that_does_not_exist_is_refused(path):
    with pytest.raises(ShapeError, match="does not exist"):
        collect(path)


def test_an_empty_folder_has_no_tests(folders):
    suite = collect(folders)
    assert (suite.tests, suite.skipped) == ([], [])


# The cache of outlines.


def test_only_changed_files_are_parsed_again(folders, monkeypatch):
    write(folders, {f"test_{name}.py": f"def test_{name}(): ..." for name in "abc"})
    before = collect(folders).tests
    parsed = []
    real = outline_cache.parse_outline
    monkeypatch.setattr(
        outline_cache, "parse_outline", lambda text: parsed.append(text) or real(text)
    )
    assert collect(folders).tests == before
    assert parsed == []
    write(folders, {"test_b.py": "def test_changed(): ..."})
    assert collected(folders)[1] == "test_b.py::test_changed"
    assert parsed == ["def test_changed(): ..."]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"test_x", b"test_y"),
        lambda _: b"[1, 2]",
    ],
    ids=["empty", "truncated", "changed", "foreign"],
)
def test_a_damaged_cache_is_ignored_with_a_warning(folders, damage):
    write(folders, {"test_x.py": "def test_x(): ..."})
    collect(folders)
    (cache,) = (folders.parent / "cache" / "suites").iterdir()
    cache.write_bytes(damage(cache.read_bytes()))
    with pytest.warns(RuntimeWarning, match="damaged cache"):
        assert collected(folders) == ["test_x.py::test_x"]
    assert collected(folders) == ["test_x.py::test_x"]  # The damaged file was replaced.


@pytest.mark.parametrize("text", [b"[1]", b"{", b"[" * 9999, b'{"%s": {}}', b'{"%s": [1]}'])
def test_a_cache_that_holds_no_outlines_is_ignored(folders, text):
    write(folders, {"test_x.py": "def test_x(): ..."})
    collect(folders)
    (cache,) = (folders.parent / "cache" / "suites").iterdir()
    digest = hashlib.sha256((folders / "test_x.py").read_bytes()).hexdigest().encode()
    section = np.frombuffer(text.replace(b"%s", digest), np.uint8)
    write_container(cache, Container("outline-cache", sections={"outlines": section}))
    assert collected(folders) == ["test_x.py::test_x"]


def test_the_suites_used_last_stay_in_the_cache(folders, monkeypatch):
    monkeypatch.setattr(outline_cache, "_SUITES_KEPT", 2)
    cache = folders.parent / "cache" / "suites"
    for age, name in ((9, "first"), (5, "second")):
        (folders / f"test_{name}.py").write_text("def test_it(): ...")
        collect(folders / f"test_{name}.py")
        (new,) = (path for path in cache.iterdir() if path.stat().st_mtime > 10)
        os.utime(new, (10 - age, 10 - age))
    collect(folders / "test_first.py")
    (first,) = (path for path in cache.iterdir() if path.stat().st_mtime > 10)
    (folders / "test_third.py").write_text("def test_it(): ...")
    collect(folders / "test_third.py")
    assert len(list(cache.iterdir())) == 2
    assert first.exists()


def test_a_cache_of_another_version_is_ignored(folders, monkeypatch):
    write(folders, {"test_x.py": "def test_x(): ..."})
    with monkeypatch.context() as later:
        later.setattr(outline_cache, "_VERSION", 1000)
        later.setattr(
            outline_cache, "parse_outline", lambda _: parse_outline("def test_other(): ...")
        )
        assert collected(folders) == ["test_x.py::test_other"]
    assert collected(folders) == ["test_x.py::test_x"]


def test_a_folder_that_another_process_removes_is_skipped(folders, monkeypatch):
    write(folders, {"test_a.py": "def test_a(): ...\n", "sub/test_b.py": "def test_b(): ...\n"})
    stat = Path.stat

    def removed_before(path, **options):
        if path == folders / "sub":
            shutil.rmtree(path, ignore_errors=True)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", removed_before)
    skipped = []
    files = walk_files(folders, skipped, lambda _: False)
    assert [file.name for file in files] == ["test_a.py"]
    assert [(one.path, one.reason) for one in skipped] == [
        (folders / "sub", "No such file or directory")
    ]
