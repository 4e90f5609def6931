"""Whatever an argument is, a call gives the right result or the error that its docstring names."""

import pytest

import attention_rows
import cache_rows
import index_rows
import operation_rows
from walker import Walk

SUBJECTS = [
    *operation_rows.SUBJECTS,
    *attention_rows.SUBJECTS,
    *cache_rows.SUBJECTS,
    *index_rows.SUBJECTS,
]


@pytest.mark.parametrize("number", range(len(SUBJECTS)), ids=[s.name for s in SUBJECTS])
def test_each_row_has_its_outcome(number, runtime):
    walk = Walk(SUBJECTS[number], runtime).go()
    assert not walk.faults, "\n" + "\n".join(walk.faults)
