"""Numbers of cases, compared with pytest's own collection."""

import collections
import subprocess
import sys

import pytest

from flashwasm.qe.changes.ranking.case_counts import case_counts
from flashwasm.qe.suites.collection import collect
from flashwasm.qe.suites.parametrize_literals import literal_cases

# A suite whose numbers of cases are all written in its source.
WRITTEN = """\
import pytest
from pytest import mark

pytestmark = [pytest.mark.parametrize("m", (1, 2)), pytest.mark.filterwarnings("error")]
VALUES = [1, 2, 3]

def test_module(m): pass

@pytest.mark.parametrize("x", [1, 2, 3])
@mark.parametrize(argnames=("y", "z"), argvalues=[(1, 2), pytest.param(3, 4, id="a]b")])
def test_product(m, x, y, z): pass

@pytest.mark.parametrize("x", VALUES, ids=str)
async def test_named(m, x): pass

@pytest.mark.parametrize("x", range(2, 8, 2))
def test_range(m, x): pass

@pytest.mark.parametrize("x", {"a": 1, "b": 2})
def test_keys(m, x): pass

@pytest.mark.parametrize("x", "abc")
def test_letters(m, x): pass

@pytest.mark.parametrize("x", [])
def test_empty(m, x): pass

@pytest.mark.parametrize("c", [1, 2])
class TestClass:
    pytestmark = pytest.mark.parametrize("d", [1, 2])
    def test_in_class(self, m, c, d): pass
    class TestInner:
        @pytest.mark.parametrize("x", [1, 2])
        def test_inside(self, m, c, d, x): pass
"""
# Values that only a run knows.
COMPUTED = """\
import pytest

def values(): return [1, 2]
REST = [3]

@pytest.mark.parametrize("x", values())
def test_called(x): pass

@pytest.mark.parametrize("x", [1, *REST])
def test_starred(x): pass

@pytest.mark.parametrize("x", range(len(REST)))
def test_computed_range(x): pass

@pytest.mark.parametrize("x", REST + REST)
def test_sum(x): pass

@pytest.mark.usefixtures()
def test_one(): pass
"""


def test_cases_that_are_written_in_the_source_are_those_that_pytest_collects(tmp_path):
    (tmp_path / "test_x.py").write_text(WRITTEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ids = [line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line]
    collected = collections.Counter(ids)
    found = case_counts(collect(tmp_path).tests)
    assert found.counts == collected
    assert found.guessed == []


def test_cases_that_only_a_run_knows_count_as_one_and_are_named(tmp_path):
    (tmp_path / "test_x.py").write_text(COMPUTED)
    (tmp_path / "pytest.ini").write_text("")
    suite = collect(tmp_path)
    found = case_counts(suite.tests)
    assert set(found.counts.values()) == {1}
    names = ["test_called", "test_starred", "test_computed_range", "test_sum"]
    assert found.guessed == [f"test_x.py::{name}" for name in names]
    # The report of an earlier run knows better.
    known = case_counts(suite.tests, ran={f"test_x.py::{name}": 2 for name in names})
    assert (known.guessed, sum(known.counts.values())) == ([], 9)
    assert [known.of(test) for test in suite.tests] == [2, 2, 2, 2, 1]


def test_a_test_that_two_classes_inherit_counts_for_both(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import pytest\nclass TestA:\n    @pytest.mark.parametrize('x', [1, 2])\n"
        "    def test_a(self, x): pass\nclass TestB(TestA): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("")
    [test] = collect(tmp_path).tests
    assert case_counts([test]).of(test) == 4


@pytest.mark.parametrize("text", [b"def test_x(:\n", b"\0", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_has_no_cases(tmp_path, text):
    (tmp_path / "test_x.py").write_bytes(text)
    assert literal_cases(tmp_path / "test_x.py") == {}
    assert literal_cases(tmp_path / "no.py") == {}
