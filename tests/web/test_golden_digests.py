"""The digests with which the page in web/page compares its results are Python's.

To record them again, after a change of the kernels or of the cases:

    PYTHONPATH=src:tests/helpers python tests/web/test_golden_digests.py
"""

import json

import pytest

import golden_cases


@pytest.mark.parametrize("variant", golden_cases.VARIANTS)
def test_python_gets_the_golden_digests(variant):
    assert golden_cases.digests(variant) == golden_cases.read()["digests"][variant]


if __name__ == "__main__":
    found = golden_cases.read()
    found["digests"] = {variant: golden_cases.digests(variant) for variant in golden_cases.VARIANTS}
    text = json.dumps(found["digests"], indent=2).replace("\n", "\n  ")
    head = golden_cases.GOLDEN.read_text("utf-8").split('  "digests":')[0]
    golden_cases.GOLDEN.write_text(f'{head}  "digests": {text}\n}}\n', "utf-8")
