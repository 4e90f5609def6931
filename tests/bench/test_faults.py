"""`python -m bench quality --faults`: mutations, and selections compared with failing tests."""

import importlib.util
import json
import subprocess

import pytest
from click.testing import CliRunner

from bench.commands import main
from bench.quality.fault_choices import Choice, Selected, judge
from bench.quality.fault_findings import MutationResult, ProjectFaults
from bench.quality.mutations import KINDS, Mutation, choose
from bench.quality.mutator import mutations_of
from bench.quality.project_copy import ProjectCopy, SuiteRun
from small_project import write_project

pytest.importorskip("sklearn")
pytest.importorskip("coverage")

PROGRAM = '''\
"""A module."""
LIMIT = 10

@cache
def near(x, by=None, *, at=1):
    """Say it."""
    if x <= at and not by:
        y = x + 1  # One more.
        return y
    try:
        x += 2
    except (
        KeyError
    ):
        raise
    for _ in f"{x + 1}":
        print("a")
'''
# Line, kind, and the line after the edit.
EDITS = {
    (2, "module level", "LIMIT = 11"),
    (2, "module level", ""),
    (4, "decorator", ""),
    (5, "default value", "def near(x, by=0, *, at=1):"),
    (5, "default value", "def near(x, by=None, *, at=2):"),
    (7, "operator", "    if x <= at or not by:"),
    (7, "operator", "    if x <= at and bool(by):"),
    (7, "comparison", "    if x < at and not by:"),
    (8, "operator", "        y = x - 1  # One more."),
    (8, "constant", "        y = x + 2  # One more."),
    (8, "deleted statement", ""),
    (9, "return", "        return None"),
    (11, "operator", "        x -= 2"),
    (11, "constant", "        x += 3"),
    (11, "deleted statement", "        pass"),
    (15, "deleted statement", "        pass"),
    (17, "constant", "        print('aX')"),
    (17, "deleted statement", "        pass"),
}
TESTS = """\
SIZE = 1

@pytest.fixture
def one():
    return 1

class TestIt:
    value = 2

    def setup_method(self):
        self.x = 3

    def test_it(self, one):
        assert one == 4
"""


def edits(path, source, ran, *, beside_tests):
    found = mutations_of(path, source, ran, beside_tests=beside_tests)
    assert all(one.compiles(source) for one in found)
    return {(one.line, one.kind, one.after.rstrip("\n")) for one in found}


def test_mutations_of_a_program():
    everything = range(1, 20)
    assert edits("a.py", PROGRAM, everything, beside_tests=False) == EDITS
    expected = {edit for edit in EDITS if edit[0] in {2, 9}}
    assert edits("a.py", PROGRAM, [2, 9], beside_tests=False) == expected
    assert mutations_of("a.py", "def f(:", everything, beside_tests=False) == []


def test_mutations_beside_tests():
    found = edits("test_a.py", TESTS, range(1, 20), beside_tests=True)
    kinds = {line: kind for line, kind, _ in found}
    assert kinds == {
        **dict.fromkeys((1, 8, 11), "test helper"),
        **dict.fromkeys((3, 5), "fixture"),
    }


def test_a_mutation_is_a_diff_of_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(PROGRAM)
    mutation = Mutation("return", "a.py", 9, "        return None\n")
    diff = mutation.diff(PROGRAM)
    subprocess.run(["git", "apply"], input=diff, text=True, check=True)  # noqa: S607 - any git.
    assert (tmp_path / "a.py").read_text() == mutation.apply(PROGRAM)
    assert not Mutation("return", "a.py", 9, "        return (y)\n").compiles(PROGRAM)
    assert not Mutation("return", "a.py", 9, "        return (\n").compiles(PROGRAM)


def test_the_kinds_take_turns_in_a_seeded_order():
    many = [Mutation(kind, "a.py", line, "") for kind in KINDS for line in range(5)]
    chosen = choose(many, seed=1)
    assert sorted(map(str, chosen)) == sorted(map(str, many))
    assert [one.kind for one in chosen] == [*KINDS] * 5
    assert choose(many, seed=1) == chosen != choose(many, seed=2)


def invoke(*arguments):
    return CliRunner().invoke(main, ["quality", "--faults", *map(str, arguments)])


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    # The runs ignore the variables of pytest around them.
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path / "shop")
    # Hypothesis's plugin takes a second to load, in each run.
    (tmp_path / "shop" / "pytest.ini").write_text("[pytest]\naddopts = -p no:hypothesispytest\n")
    return tmp_path / "shop"


@pytest.mark.slow
def test_the_command_on_a_small_project(project):
    files = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    result = invoke(project, "--mutations", 10, "--json", "-")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (found,) = document["faults"]
    assert (found["project"], found["cases"], len(found["mutations"])) == ("shop", 11, 10)
    assert {one["mutation"]["kind"] for one in found["mutations"]} >= {"constant", "fixture"}
    names = {"with coverage", "without", "--likely, with", "--likely, without"}
    testmon = importlib.util.find_spec("testmon") is not None
    killed = [one for one in found["mutations"] if one["killed"]]
    assert killed
    for one in killed:
        assert set(one["choices"]) - {"pytest-testmon"} == names
        for name in ("with coverage", "without"):
            choice = one["choices"][name]
            assert choice["left_out"] == []
            assert choice["place"] >= 1
            assert 0 < choice["share"] <= 1
    assert any("pytest-testmon is not installed" in note for note in document["notes"]) != testmon
    assert "met: shop, with coverage: 0 left out, target 0" in document["notes"]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == files
    earlier = project.parent / "earlier.json"
    earlier.write_text(result.stdout)
    again = json.loads(invoke(project, "--again", earlier, "--json", "-").stdout)
    for before, now in zip(found["mutations"], again["faults"][0]["mutations"], strict=True):
        for one in (before, now):
            for choice in one["choices"].values():
                choice["seconds"] = choice["share"] = choice["choosing"] = 0
        assert now == before


@pytest.mark.slow
def test_the_time_may_end_before_the_mutations(project):
    result = invoke(project, "--minutes", "0.0001")
    assert result.exit_code == 0, result.output
    assert "shop: no mutation was killed, so no target was measured" in result.stdout


def test_what_cannot_be_measured_is_refused(project):
    assert invoke().exit_code == 2
    assert invoke(project, "--coverage", "x").exit_code == 2
    (project / "empty").mkdir()
    result = invoke(project / "empty")
    assert result.exit_code == 2
    assert "no test of empty passes" in result.output


def test_a_run_tells_what_failed(project, tmp_path):
    (tmp_path / "copy").mkdir()
    copy = ProjectCopy(project, tmp_path / "copy")
    clean = copy.clean_run()
    assert len(clean.ran) == 11
    assert not clean.failures
    with copy.changed("tests/test_text.py", "import gone"):
        run = copy.run()
    assert (run.uncollected, len(run.ran), run.broken) == ({"tests/test_text.py"}, 9, False)
    with copy.changed("tests/conftest.py", "import gone"):
        run = copy.run()
    assert run.broken
    assert run.failures
    endless = "def total(items):\n    while True: pass\ndef order(*items): return list(items)\n"
    # The test may take longer before it is stopped on a slow machine, so its limit is set here.
    copy.limits = (60, 0.5)
    with copy.changed("shop/orders.py", endless):
        run = copy.run()
    assert run.failed == {"tests/test_orders.py::test_sums[def x]"}
    assert not run.stopped
    copy.limits = (1 + 3 * clean.seconds, 0)
    with copy.changed("shop/orders.py", endless):
        run = copy.run()
    assert run.stopped
    assert run.failed == {"tests/test_orders.py::test_sums[def x]"}
    copy.limits = (60, 0)
    assert not copy.run().failures


def test_a_selection_is_held_against_failing_tests():
    seconds = {"a/x.py::t[1]": 1.0, "a/x.py::t[2]": 2.0, "a/x.py::u": 4.0, "b/y.py::v": 8.0}

    def choice(truth, *functions, **options):
        one = judge(Selected([{name} for name in functions], **options), truth, seconds)
        return one.left_out, one.place, one.share

    failed = SuiteRun(failed={"a/x.py::t[2]", "b/y.py::v"})
    assert choice(failed, "a/x.py::u", "a/x.py::t") == (["b/y.py::v"], 2, 0.75)
    assert choice(failed, "a/x.py::t", cases={"a/x.py::t[1]"})[0] == [*sorted(failed.failed)]
    broken_file = SuiteRun(uncollected={"a/x.py"})
    assert choice(broken_file, "b/y.py::v") == (["a/x.py"], None, 0.25)
    assert choice(broken_file, "b/y.py::v", "a/x.py::u") == ([], 2, 0.5)
    assert choice(broken_file, "b/y.py::v", files=["a/x.py"]) == ([], 2, 0.25)
    assert choice(SuiteRun(uncollected={"a"}), "a/x.py::u")[:2] == ([], 1)
    assert choice(SuiteRun(broken=True), "b/y.py::v")[:2] == ([], 1)
    assert choice(SuiteRun(broken=True))[:2] == (["every test"], None)
    assert choice(failed, broken=True)[:2] == ([], 1)


def test_a_missed_target_is_printed_as_missed():
    choices = {
        "with coverage": Choice([], 1, 0.5, 1.0, 0.1),
        "without": Choice(["a.py::test"], None, 0.25, 0.5, 0.1),
    }
    result = MutationResult(
        Mutation("return", "b.py", 1, ""),
        diff="",
        failing=["a.py::test"],
        spread=[],
        broken=False,
        killed=True,
        stopped=False,
        seconds=2.0,
        choices=choices,
    )
    found = ProjectFaults("shop", 4, 2, [result])
    title, _, rows = found.section()
    assert title == "shop: 1 mutation, 1 killed; 4 cases in 2.0 s"
    assert rows == [
        ("with coverage", "0", "50% / 50%", "1.00 + 0.10", "1 / 1.00"),
        ("without", "1", "25% / 25%", "0.50 + 0.10", ""),
    ]
    assert list(found.notes()) == [
        "met: shop, with coverage: 0 left out, target 0",
        "MISSED: shop, without: 1 left out, target 0",
        "MISSED: shop, without: first failing test in the first 10 for 0.00, target 0.80",
        "shop: the time was over after 1 of 2",
        "shop, killed by kind: return 1 of 1",
    ]
