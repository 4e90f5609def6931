"""Targets that read reports, diffs, settings, sources and vectors of other programs."""

from pathlib import Path

import numpy as np
from index_targets import runtime
from targets import Target

import flashwasm as fw
from bench.recorded import read_results
from flashwasm.cli.settings import read_settings
from flashwasm.qe import FunctionIndex, SuiteIndex, read_diff, read_failures
from flashwasm.qe.changes.imports.module_imports import read_imports
from flashwasm.qe.changes.readers.documentation_files import documentation_readers
from flashwasm.qe.defects.durations import read_times_and_cases
from flashwasm.qe.duplicates.known_groups import read_baseline
from flashwasm.qe.similarity.query_file import read_query
from flashwasm.qe.suites.collection import collect
from flashwasm.storage.npy_file import read_npy

_SEEDS = Path(__file__).with_name("seeds")
# Files from which pytest reads its settings.
_INI_NAMES = ("pytest.ini", "setup.cfg", "tox.ini", "pyproject.toml")


def _stored(name):
    """Return the contents of a target's files in the folder of seeds."""
    return lambda: [path.read_bytes() for path in sorted((_SEEDS / name).iterdir())]


def _lines(name):
    """Return the lines of a target's seeds, which are the words of its format."""
    return tuple({line + b"\n" for seed in _stored(name)() for line in seed.splitlines()})


def _read_report(path):
    try:
        read_failures(path)
    finally:
        read_times_and_cases(path)


def _read_diff(path):
    read_diff(path.read_bytes().decode("utf-8", "surrogateescape"))


def _read_pytest_settings(path):
    folder = Path("configured")
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "tests/test_x.py").write_text("def test_one(): assert 1\n")
    for name in _INI_NAMES:
        (folder / name).write_bytes(path.read_bytes())
        collect(folder).changes()
        documentation_readers("a.md", folder, folder, [])
        (folder / name).unlink()


def _read_source(path):
    folder = Path("sources")
    folder.mkdir(exist_ok=True)
    for name in ("test_x.py", "conftest.py", "lib.py"):
        (folder / name).write_bytes(path.read_bytes())
    options = {"cache": False, "runtime": runtime()}
    index = SuiteIndex.build(folder, scorers=["characters", "structure"], adapted=False, **options)
    index.duplicates()
    index.search("add", 2)
    read_imports(folder / "lib.py")
    FunctionIndex.build(folder, **options).search("add", 2)


def _read_results(path):
    folder = Path("results")
    folder.mkdir(exist_ok=True)
    (folder / "x.json").write_bytes(path.read_bytes())
    read_results(folder)


def _vector_seeds():
    for name, dtype in (("a", np.float32), ("b", np.float64)):
        np.save(f"{name}.npy", np.ones((3, 4), dtype))
    return [Path(name).read_bytes() for name in ("a.npy", "b.npy")]


_BAD_REPORT = (fw.CorruptFileError, fw.ShapeError)
_XML = (
    *(b"<testcase", b"<failure>", b"</failure>", b"</testsuite>", b"<![CDATA[", b"&a;", b"&b;"),
    *(b"&#0;", b'encoding="utf-7"', b'encoding="hex"', b"<a>" * 3000),
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]>',
)
_TOML = (
    *(b"[", b"]", b"[[tool.pytest]]", b"tool = 1", b"[tool]\npytest = []\n", b'"""', b"= [["),
    *(b"%(x)s", b"addopts = 7", b"python_files = [1]", b"testpaths = '\\u0000'"),
)

SOURCE_TARGETS = [
    Target("junit-xml", _stored("junit-xml"), _read_report, _BAD_REPORT, tokens=_XML),
    Target(
        "pytest-text",
        _stored("pytest-text"),
        read_failures,
        _BAD_REPORT,
        tokens=_lines("pytest-text"),
    ),
    Target("report-log", _stored("report-log"), _read_report, _BAD_REPORT),
    Target("diff", _stored("diff"), _read_diff, (fw.DTypeError,), tokens=_lines("diff")),
    Target("pytest-settings", _stored("pytest-settings"), _read_pytest_settings, (), tokens=_TOML),
    Target("own-settings", _stored("own-settings"), read_settings, (fw.DTypeError,), tokens=_TOML),
    Target(
        "python-source",
        _stored("python-source"),
        _read_source,
        (),
        tokens=_lines("python-source"),
    ),
    Target("query", _stored("query"), read_query, (fw.ShapeError,)),
    Target("baseline", _stored("baseline"), read_baseline),
    Target("vectors", _vector_seeds, read_npy),
    Target("recorded-results", _stored("recorded-results"), _read_results),
]
