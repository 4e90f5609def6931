"""`flashwasm report`: one file about a suite, and the parts that it is made of."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import coverage
import numpy as np
import pytest
from click.testing import CliRunner
from test_html_pages import FAILURE, Reader, folder

from checkout import ROOT
from flashwasm.cli import main
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.source_digests import write_digests
from flashwasm.qe.reports.line_pairs import pair_lines
from flashwasm.qe.reports.suite_map import draw_map, vectors_of_terms
from flashwasm.storage.digests import digest_of

__all__ = ["folder"]

pytest.importorskip("jinja2")

BENCHMARK = {
    "machine": {"processor": "a </script> processor"},
    "results": [
        {
            "operation": "matmul",
            "size": "64 x 64",
            "best": 1e-4,
            "with_copies": 2e-4,
            "numpy": 3e-4,
            "speedup_over_numpy": 3.0,
            "speedup_over_scalar": 9.0,
        }
    ],
    "lengths": [
        {"length": n, "causal": causal, "flash": 1e-3, "materialized": 2e-3, "scalar": None}
        for n in (128, 256)
        for causal in (False, True)
    ],
}


def report(*arguments, status=0):
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result


def test_a_report_has_the_parts_that_it_was_given_data_for(folder):
    (folder / "lib.py").write_text("def f(x):\n    if x:\n        return '<'\n    return 1\n")
    lines = {(0, 0): np.array([1, 2, 4])}
    CoverageIndex(CoverageData(["lib.py"], ["t.py::test"], lines)).save("coverage.fw")
    (folder / "run.txt").write_text(FAILURE)
    (folder / "bench.json").write_text(json.dumps(BENCHMARK))
    report(folder, "-o", "small.html")
    small = Reader(Path("small.html").read_text("utf-8"), charts=True)
    given = ("--coverage", "coverage.fw", "--failures", "run.txt", "--bench", "bench.json")
    report(folder, *given, "-o", "whole.html")
    whole = Reader(Path("whole.html").read_text("utf-8"), charts=True)
    for part in ("Lines that no test runs", "Failures by cause", "Benchmarks"):
        assert part in whole.text
        assert part not in small.text
    order = ("Failures by cause", "Lines that no test runs", "Duplicate tests", "Map of the suite")
    places = [whole.text.index(part) for part in (*order, "Operations, compared with NumPy")]
    assert places == sorted(places)
    for part in ("Map of the suite", "Duplicate tests", "test_x.py::test_a"):
        assert part in small.text
    assert "lib.py: f" in whole.text
    assert "no '<b>&\ufffdy'" in whole.text
    assert (small.tags.count("canvas"), whole.tags.count("canvas")) == (1, 4)
    points = [json.loads(data) for data in whole.data if data.lstrip().startswith('{"clusters')]
    names = [name for cluster in points[0]["clusters"] for _, _, name in cluster["points"]]
    assert sorted(names) == [f"test_x.py::test_{letter}" for letter in "abc"]


def test_a_report_shows_the_riskiest_gaps_and_their_number(folder):
    functions = "".join(f"def f{i}(x):\n    return x\n" for i in range(103))
    (folder / "lib.py").write_text(functions)
    CoverageIndex(CoverageData(["lib.py"], ["t.py::test"], {(0, 0): np.array([1])})).save("c.fw")
    report(folder, "--coverage", "c.fw", "-o", "large.html")
    text = Path("large.html").read_text("utf-8")
    assert "first 100 of 103 functions" in text
    assert text.count("lib.py: f") == 100


def test_a_report_shows_the_first_duplicates_and_their_number(folder):
    # Each pair calls a function of its own, so that pairs do not resemble each other.
    tests = [f"def test_{i}_{j}(): assert f{i}(1)" for i in range(103) for j in "ab"]
    (folder / "test_x.py").write_text("\n".join(tests))
    report(folder, "-o", "large.html")
    page = Reader(Path("large.html").read_text("utf-8"), charts=True)
    assert "103 groups of tests with the same body" in page.text
    assert "shows the first 100 of them, and leaves out 3. flashwasm duplicates lists" in page.text
    assert page.text.count("2 tests: ") == 100


def test_a_report_names_sources_that_changed_since_the_recording(folder):
    lib = folder / "lib.py"
    lib.write_text("def f(x):\n    return x\n")
    data = coverage.CoverageData(".coverage")
    data.set_context("test_x.py::test_a")
    data.add_lines({str(lib.resolve()): [1]})
    data.write()
    write_digests(Path(".coverage"), {"lib.py": digest_of(lib)})
    said = "1 file changed since the coverage database was recorded, for example lib.py"
    report(folder, "--coverage", ".coverage", "-o", "before.html")
    assert said not in Reader(Path("before.html").read_text("utf-8"), charts=True).text
    lib.write_text("# A new first line.\n" + lib.read_text())
    report(folder, "--coverage", ".coverage", "-o", "after.html")
    assert said in Reader(Path("after.html").read_text("utf-8"), charts=True).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "is not JSON"),
        ("[]", "expected an object"),
        ('{"machine": {}}', "contains no operations, lengths"),
        ('{"machine": {}, "results": [{}]}', "expected the JSON of `flashwasm bench --json`"),
        ('{"machine": {}, "results": 3}', "expected the JSON of `flashwasm bench --json`"),
    ],
)
def test_a_file_that_is_no_benchmark_is_refused_and_nothing_is_written(folder, text, said):
    (folder / "bench.json").write_text(text)
    result = report(folder, "--bench", "bench.json", status=2)
    assert said in " ".join(result.stderr.split())
    assert not Path("flashwasm-report.html").exists()


def test_a_folder_without_tests_is_refused(folder):
    (folder / "test_x.py").write_text("")
    assert "no tests in" in report(folder, status=2).stderr


def test_lines_stand_beside_their_equals():
    pairs = pair_lines(
        "def a():\n    x = 1\n\n    y = 2\n", "def b():\n  x = 1\n\n  z = 3\n  w = 4"
    )
    assert [tuple(pair) for pair in pairs] == [
        ("def a():", "def b():", False),
        ("    x = 1", "  x = 1", True),
        ("", "", False),
        ("    y = 2", "  z = 3", False),
        (None, "  w = 4", False),
    ]
    assert pair_lines("", "") == []


def test_like_tests_share_a_cluster_and_its_name():
    topics = ("open database connection", "draw polygon colour", "parse calendar date")
    sources = [f"def test_{i}(): {topic} value_{i}" for topic in topics for i in range(14)]
    vectors = vectors_of_terms(sources, cache=False)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    found = draw_map(vectors, sources)
    assert found.points.shape == (len(sources), 2)
    by_topic = found.clusters.reshape(len(topics), -1)
    assert (by_topic == by_topic[:, :1]).all()
    assert len(set(by_topic[:, 0])) == len(topics)
    for topic, cluster in zip(topics, by_topic[:, 0], strict=True):
        assert set(found.names[cluster].split()) == set(topic.split())
    # Clusters lie apart: a test is nearer to its own cluster's middle than to any other.
    middles = np.array([found.points[found.clusters == i].mean(axis=0) for i in range(len(topics))])
    far = np.linalg.norm(found.points[:, None] - middles, axis=2)
    assert (far.argmin(axis=1) == found.clusters).all()
    again = draw_map(vectors, sources)
    assert again.points.tobytes() == found.points.tobytes()


@pytest.mark.parametrize("count", [1, 2, 3, 25])
def test_a_map_of_few_or_equal_tests(count):
    found = draw_map(np.ones((count, 4), np.float32) / 2, ["def test(): pass"] * count)
    assert np.isfinite(found.points).all()
    assert found.clusters.min() == 0


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm fetches the libraries")
def test_the_libraries_of_charts_are_those_of_npm(tmp_path):
    """The committed bytes are those that the lock file names."""
    vendor = ROOT / "src" / "flashwasm" / "qe" / "reports" / "vendor"
    for name in ("package.json", "package-lock.json"):
        shutil.copy(vendor / name, tmp_path)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    for path in vendor.glob("*.js"):
        (fetched,) = tmp_path.glob(f"node_modules/*/dist/{path.name}")
        digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (path, fetched)]
        assert digests[0] == digests[1], path.name
