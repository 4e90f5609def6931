"""The workload "defect-matching": the nearest patterns of a library."""

import numpy as np
import pytest

import flashwasm as fw

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["mapping", "pairs"])
def test_defect_patterns(make, kind):
    vectors = normal(12, 20)
    library = {f"defect {i}": row for i, row in enumerate(vectors)}
    attention = make("defect-matching")
    given = library if kind == "mapping" else list(library.items())
    matches = attention.match_defect_pattern(vectors[5], given)
    rows = attention.compute_test_similarity(vectors[5], vectors, 12)
    expected = [(f"defect {row.index}", row.score, row.weight) for row in rows]
    assert [(m.pattern, m.score, m.weight) for m in matches] == expected
    assert matches[0].pattern == "defect 5"
    assert attention.match_defect_pattern(vectors[5], given, top_k=2) == matches[:2]
    above = attention.match_defect_pattern(vectors[5], given, threshold=0.5)
    assert above == [m for m in matches if m.score >= 0.5]
    assert attention.match_defect_pattern(vectors[5], {}) == []
    with pytest.raises(fw.ShapeError, match=r"pattern_library\['x'\]: expected shape \(20,\)"):
        attention.match_defect_pattern(vectors[5], {"x": normal(19)})
    with pytest.raises(fw.DTypeError, match=r"pattern_library\[0\]: expected \(name, vector\)"):
        attention.match_defect_pattern(vectors[5], ["x"])
