"""ONNX's own test data, for every operation that ONNX also defines.

Both the package and the float64 oracles are compared with the data, so a mistake that both share
is found.
"""

import functools
import types
from collections import Counter

import pytest

import flashwasm as fw
from flashwasm.oracles import reference
from onnx_cases import COUNTS, collect, compare

# Outputs of ONNX that our operations do not return, and in how many cases: layer_norm returns no
# mean and no deviation. The other outputs of these cases are compared.
OUTPUTS_NOT_GIVEN = {"Mean": 19, "InvStdDev": 19}

CASES = collect()
ORACLES = types.SimpleNamespace(**vars(reference))
ORACLES.attention = lambda *operands, **options: reference.attention(*operands, **options)[0]


def on(runtime):
    """Return the package's operations by name, each bound to a runtime."""
    shared = vars(reference).keys() & set(fw.__all__)
    operations = {name: functools.partial(getattr(fw, name), runtime=runtime) for name in shared}
    return types.SimpleNamespace(**operations)


def test_no_case_is_missing():
    assert Counter(case.model.graph.node[0].op_type for case in CASES) == COUNTS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removeprefix("test_"))
def test_the_package_agrees_with_onnx(runtime, case):
    assert compare(on(runtime), case) <= OUTPUTS_NOT_GIVEN.keys()


def test_the_oracles_agree_with_onnx():
    not_given = Counter()
    for case in CASES:
        not_given.update(compare(ORACLES, case))
    assert not_given == OUTPUTS_NOT_GIVEN
