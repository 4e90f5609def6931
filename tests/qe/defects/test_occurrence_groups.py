"""Groups of the failures in a library, which a new failure is compared with."""

import numpy as np

from flashwasm.qe.defects import occurrence_groups
from flashwasm.qe.defects.failure_fingerprint import fingerprint
from flashwasm.qe.defects.known_failures import Defect, KnownFailures, Occurrence
from flashwasm.qe.defects.occurrence_groups import OccurrenceGroup, OccurrenceGroups
from flashwasm.qe.defects.tracebacks import read_failure

SHORT = "test_lib.py:9: in {test}\n    {code}\n{frames}E   {error}"
PRODUCT = "lib.py:4: in {function}\n    x[{i}]\n"


def failure(i):
    """Return the node id and the text of one of many failures, some of which are alike."""
    test, frames = f"test_{'abc'[i % 3]}", PRODUCT.format(function="fg"[i % 2], i=i % 4)
    error = f"KeyError: {i % 5}" if i % 7 else "assert 1 == 0"
    return f"test_lib.py::{test}[{i % 11}]", SHORT.format(
        test=test, code="f(x)", frames=frames if i % 3 else "", error=error
    )


def occurrences(count, defects):
    found = []
    for i in range(count):
        test, text = failure(i)
        found.append(Occurrence(i % defects, fingerprint(read_failure(text), test), text))
    return found


def test_groups_give_the_verdicts_of_comparing_each_failure(monkeypatch):
    known = KnownFailures([Defect("x"), Defect("y"), Defect("z")], occurrences(120, 3))
    report = [(test, read_failure(text)) for test, text in map(failure, range(60, 180))]
    with_groups = known.match(report, {3, 4, 5, 77})

    def alone(positions, *_):
        return (OccurrenceGroup(int(i), np.array([i])) for i in positions)

    monkeypatch.setattr(occurrence_groups, "_grouped", alone)
    assert known.match(report, {3, 4, 5, 77}) == with_groups
    assert len({one.status for one in with_groups}) > 1


def test_the_cases_of_a_test_are_compared_as_a_few_groups():
    text = SHORT.format(test="test_a", code="assert f(i)", frames="", error="assert {} == 0")
    tests = [(f"test_lib.py::test_a[{i}]", read_failure(text.format(i))) for i in range(300)]
    cases = [Occurrence(0, fingerprint(one, test), one.text) for test, one in tests]
    test, one = tests[7]
    scores = np.linspace(0, 1, 300, dtype=np.float32)
    groups = OccurrenceGroups(cases).near(fingerprint(one, test), scores)
    assert [(group.nearest, len(group.members)) for group in groups] == [(7, 1), (299, 299)]
