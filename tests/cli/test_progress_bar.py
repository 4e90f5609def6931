"""Progress: a bar on a terminal and in a notebook, and lines every few seconds elsewhere."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm import progress_bar
from flashwasm.cli import bench_steps, main
from flashwasm.progress_bar import progress_report
from measured_findings import findings
from small_project import record_coverage, write_project

DIFF = """\
--- a/shop/text.py
+++ b/shop/text.py
@@ -1,2 +1,2 @@
 def title(text):
-    return text.title()
+    return text.upper()
"""


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    monkeypatch.delenv("FLASHWASM_PROGRESS")


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that tests set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_bar, "monotonic", lambda: clock.now)
    return clock


def test_lines_come_every_few_seconds_where_stderr_is_no_terminal(clock, capsys):
    with progress_report("embedding") as advance:
        for second in range(1, 8):
            clock.now = 100.0 + second
            advance(second, 10)
        clock.now = 200.0
    assert capsys.readouterr().err.splitlines() == [
        "embedding: 3 of 10, 7 s left",
        "embedding: 6 of 10, 4 s left",
        "embedding: 10 done in 1 min 40 s",
    ]


def test_the_time_left_is_that_of_the_present_phase(clock, capsys):
    with progress_report("comparing") as advance:
        clock.now += 2  # Preparations.
        advance(1, 1200)
        clock.now += 2  # Preparations of the second phase.
        for done in range(8):
            advance(done, 1008)
            clock.now += 1
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 0 of 1,008",
        "comparing: 3 of 1,008, 16 min 45 s left",
        "comparing: 6 of 1,008, 16 min 42 s left",
        "comparing: 1,008 done in 12 s",
    ]


def test_short_work_prints_nothing(clock, capsys):
    with progress_report("embedding") as advance:
        clock.now += 2.9
        advance(10, 10)
    assert not capsys.readouterr().err


def test_work_that_fails_is_not_said_to_be_done(clock, capsys):
    def work():
        with progress_report("embedding") as advance:
            clock.now += 5
            advance(1, 2)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert capsys.readouterr().err == "embedding: 1 of 2\n"


def test_a_notebook_draws_a_bar_over_itself_and_wipes_it_off(clock, capsys, monkeypatch):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with progress_report("embedding") as advance:
        for done in range(5):
            clock.now += 0.11
            advance(done, 4)
    first, *drawn, end = capsys.readouterr().err.split("\r")
    assert (first, end, drawn[-1].strip()) == ("", "", "")
    assert [text.rstrip() for text in drawn[:-1]] == [
        "embedding [..............................] 0/4",
        "embedding [###############...............] 2/4, 0 s left",
        "embedding [##############################] 4/4",
    ]
    # Each drawing covers the one before.
    assert all(len(after) >= len(before.rstrip()) for before, after in pairwise(drawn))


def test_ipython_in_a_terminal_is_no_notebook(clock, capsys, monkeypatch):
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with progress_report("embedding") as advance:
        clock.now += 5
        advance(1, 2)
    assert "\r" not in capsys.readouterr().err


@pytest.mark.parametrize("how", ["variable", "closed", "show"])
def test_progress_is_switched_off(clock, capsys, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("FLASHWASM_PROGRESS", "off")
    if how == "closed":
        monkeypatch.setattr(sys, "stderr", None)
    with progress_report("embedding", show=how != "show") as advance:
        clock.now += 5
        advance(1, 2)
    assert not capsys.readouterr().err


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    record_coverage(folder)
    (folder / "change.diff").write_text(DIFF)
    np.save(folder / "rows.npy", np.eye(8, dtype=np.float32))
    tiny_bert.write(folder / "data" / "models" / "all-MiniLM-L6-v2")
    return folder


@pytest.mark.parametrize(
    ("arguments", "described"),
    [
        ("embed words", ["embedding"]),
        ("similar . -q title", ["reading the suite", "counting characters", "embedding"]),
        ("similar . -q title --coverage .coverage", ["reading coverage"]),
        ("search . title", ["reading", "embedding"]),
        (
            "duplicates . --coverage .coverage",
            ["reading the suite", "reading coverage", "comparing"],
        ),
        ("coverage who shop/text.py:2", ["reading coverage"]),
        ("coverage gap", ["reading coverage"]),
        (
            "tests-for . --diff change.diff --coverage .coverage --dry-run",
            ["reading coverage", "reading the suite", "following imports", "looking for names"],
        ),
        ("index build suite . -o suite.fw", ["reading the suite", "embedding"]),
        ("index build functions . -o functions.fw", ["reading", "embedding"]),
        ("index build coverage .coverage -o coverage.fw", ["reading coverage"]),
        ("index build vectors rows.npy -o rows.fw", ["indexing"]),
        ("index build vectors rows.npy -o rows.fw --graph", ["indexing"]),
        ("bench ops", ["measuring"]),
    ],
)
def test_commands_show_progress(project, monkeypatch, tmp_path, arguments, described):
    monkeypatch.chdir(project)
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    monkeypatch.setenv("FLASHWASM_DATA", str(project / "data"))
    monkeypatch.setattr(progress_bar, "_BETWEEN_LINES", 0.0)
    steps = [bench_steps.Step("everything", lambda: findings("ops"))]
    monkeypatch.setattr(bench_steps, "own_steps", lambda *_: steps)
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code in {0, 1}, result.output
    for work in described:
        assert f"\n{work}: " in f"\n{result.stderr}", (work, result.stderr)
