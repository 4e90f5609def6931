"""What compares tests: TF-IDF, structure, whitened embeddings, their fusion, and why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flashwasm as fw
import tiny_bert
from flashwasm.qe import CoverageIndex, SuiteIndex
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.scoring import matrix_cache, terms, tfidf, whitening
from flashwasm.qe.scoring.scorers import fused
from flashwasm.qe.scoring.whitening import whitened
from flashwasm.qe.similarity.explanation import Explainer

SOURCES = [
    "def test_add(tmp_path): assert graph.add_edge(1, 2)",
    "def test_add_twice(tmp_path): assert graph.add_edge(2, 1)",
    "def test_remove(self): self.graph.remove_node(1)",
    "async def test_weights(): assert sum(weights) == approx(1)",
    "not python at all (",
]
# How scikit-learn counts the same.
SKLEARN = {
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
    "identifiers": {"analyzer": terms.identifiers},
    "structure": {"analyzer": terms.structure},
}
SUITE = {
    "test_a.py": SOURCES[0] + "\n" + SOURCES[1],
    "test_b.py": f"class TestB:\n    {SOURCES[2]}\n",
    "test_c.py": SOURCES[3],
}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def suite(folders):
    (folders / "suite").mkdir()
    for name, source in SUITE.items():
        (folders / "suite" / name).write_text(source)
    return folders / "suite"


@pytest.fixture(scope="module")
def sklearn_text():
    return pytest.importorskip("sklearn.feature_extraction.text")


# TF-IDF.


@pytest.mark.parametrize("kind", ["characters", "identifiers", "structure"])
def test_cosines_are_scikit_learns_without_hashing(sklearn_text, kind):
    vectorizer = sklearn_text.TfidfVectorizer(**SKLEARN[kind], sublinear_tf=True)
    matrix = vectorizer.fit_transform(SOURCES)
    ours = tfidf.TfIdf(kind, SOURCES)
    for i, source in enumerate(SOURCES):
        expected = (matrix @ matrix[i].T).toarray().ravel()
        assert np.allclose(ours.scores(i), expected, atol=1e-5)
        assert np.allclose(ours.scores(source), expected, atol=1e-5)
    other = "def test_other(tmp_path): graph.add_node(approx(3))"
    expected = (matrix @ vectorizer.transform([other]).T).toarray().ravel()
    assert np.allclose(ours.scores(other), expected, atol=1e-5)


@pytest.mark.parametrize("limit", ["_FEW_TERMS", "_FEW_ENTRIES"])
@pytest.mark.parametrize("query", [1, "graph.add_edge(1)", "words of no program"])
def test_long_queries_are_scored_like_short_ones(sklearn_text, monkeypatch, limit, query):
    assert sklearn_text
    ours = tfidf.TfIdf("characters", SOURCES)
    few = ours.scores(query)
    monkeypatch.setattr(tfidf, limit, -1)
    many = ours.scores(query)
    assert few.dtype == many.dtype == np.float32
    assert np.array_equal(few, many)


def test_cosines_between_texts_are_those_of_queries(sklearn_text):
    assert sklearn_text
    ours = tfidf.TfIdf("characters", SOURCES)
    chosen = [3, 0, 1]
    expected = np.array([ours.scores(i)[chosen] for i in chosen])
    assert np.allclose(ours.between(chosen), expected, atol=1e-6)


def test_one_text_and_texts_without_terms(sklearn_text):
    assert sklearn_text
    assert tfidf.TfIdf("characters", ["abc def"]).scores(0) == pytest.approx([1])
    assert tfidf.TfIdf("structure", ["(", "x"]).scores(0).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SOURCES[0], ["fixture tmp_path", "call add_edge"]),
        (SOURCES[2], ["call remove_node", "self graph"]),
        (SOURCES[3], ["call sum", "call approx"]),
        (SOURCES[4], []),
        ("x[0]()", []),
        ("    def test(): f()", ["call f"]),
    ],
)
def test_structure(source, expected):
    assert sorted(terms.structure(source)) == sorted(expected)


@given(st.text(st.sampled_from("abX _1\n\t\x1c\u2003é\u0130\U0001f600"), max_size=30))
def test_characters_are_scikit_learns(sklearn_text, text):
    count = sklearn_text.CountVectorizer(**SKLEARN["characters"]).build_analyzer()
    assert sorted(terms.characters(text)) == sorted(count(text))


@given(st.lists(st.text(max_size=12)))
def test_terms_are_hashed_as_scikit_learn_does(sklearn_text, words):
    assert sklearn_text
    utils = pytest.importorskip("sklearn.utils")
    expected = [abs(int(utils.murmurhash3_32(word))) for word in words]
    assert terms.hashed(words).tolist() == expected


def test_a_query_of_nothing_known_has_no_cosine(sklearn_text):
    assert sklearn_text
    for query in ("", "zzz"):
        assert not tfidf.TfIdf("characters", ["abc def"]).scores(query).any()


def one_array():
    return {"x": np.ones(1, np.float32)}


def test_the_matrix_is_cached(sklearn_text, folders, monkeypatch):
    assert sklearn_text
    first = tfidf.TfIdf("characters", SOURCES, cache=True).scores(0)
    with monkeypatch.context() as later:
        later.setattr(tfidf.TfIdf, "_fit", None)
        assert np.array_equal(tfidf.TfIdf("characters", SOURCES, cache=True).scores(0), first)
    (path,) = (folders / "cache" / "tfidf").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="ignoring the damaged cache"):
        again = tfidf.TfIdf("characters", SOURCES, cache=True).scores(0)
    assert np.array_equal(again, first)
    for i in range(12):
        matrix_cache.cached_arrays(
            "tfidf", f"key {i}", lambda: {"x": np.ones(1, np.float32)}, cache=True
        )
    assert len(list(path.parent.iterdir())) == 8


def test_a_cache_that_cannot_be_written_is_a_warning(folders, monkeypatch):
    (folders / "occupied").write_text("")
    monkeypatch.setenv("FLASHWASM_CACHE", str(folders / "occupied" / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot (read|write)"):
        arrays = matrix_cache.cached_arrays(
            "x", "key", lambda: {"x": np.ones(1, np.float32)}, cache=True
        )
    assert arrays["x"] == 1


# Whitening and fusion.


def test_whitening_evens_variances_out():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 4)) * [4, 2, 1, 1] + 5
    unit = whitened(rows, 1.0)(rows)
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert np.allclose(np.cov(unit.T) * 4, np.eye(4), atol=0.05)
    same = whitened(rows, 0.0)(rows)
    centred = rows - rows.mean(axis=0)
    cosines = centred @ centred[0] / np.linalg.norm(centred, axis=1) / np.linalg.norm(centred[0])
    assert np.allclose(same @ same[0], cosines, atol=1e-5)


def test_whitening_of_few_vectors_stays_finite():
    for rows in (np.ones((1, 8)), np.ones((3, 8)), np.eye(2, 8)):
        assert np.isfinite(whitened(rows)(rows)).all()


def test_whitened_vectors_are_cached(folders, monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 8)).astype(np.float32)
    transform, unit = whitening.whitened_collection(rows, cache=True)
    assert np.array_equal(unit, whitening.whitened(rows)(rows))
    with monkeypatch.context() as later:
        later.setattr(whitening, "_fit", None)
        again, kept = whitening.whitened_collection(rows, cache=True)
        with pytest.raises(TypeError):  # Other vectors, and no cache, have to be fitted.
            whitening.whitened_collection(rows[::-1], cache=True)
        with pytest.raises(TypeError):
            whitening.whitened_collection(rows)
    assert np.array_equal(kept, unit)
    assert np.array_equal(again(rows[:3]), transform(rows[:3]))
    assert len(list((folders / "cache" / "whitened").iterdir())) == 1


def test_fusion_is_the_mean_of_z_scores():
    a, b = np.array([1.0, 0, 0, 2]), np.array([0, 0, 3.0, 100])
    z = [(x[:3] - x[:3].mean()) / x[:3].std() for x in (a, b)]
    assert np.allclose(fused({"a": a, "b": b}, left_out=3)[:3], np.mean(z, axis=0))
    assert fused({"a": np.ones(3)}).tolist() == [0, 0, 0]
    assert fused({"a": np.ones(1)}, left_out=0).tolist() == [0]


# A suite.


def test_all_scorers_together(sklearn_text, suite, folders):
    assert sklearn_text
    tiny_bert.write(folders / "model")
    index = SuiteIndex.build(suite, model=folders / "model")
    assert (index.scorers, index.missing) == (["characters", "structure", "meaning"], [])
    match, *_ = index.similar("test_add", 3, explain=True)
    assert match.nodeid == "suite/test_a.py::test_add_twice"
    assert match.components.keys() == {"characters", "structure", "meaning"}
    assert match.components["structure"] == pytest.approx(1)
    # The rarest first: two tests have these.
    assert match.explanation.identifiers[:2] == ["add_edge", "tmp_path"]
    # Words have no structure.
    (match, *_) = index.similar("the sum of weights", 1)
    assert match.components.keys() == {"characters", "meaning"}
    assert match.explanation is None


def test_coverage_is_one_more_scorer(sklearn_text, suite):
    assert sklearn_text
    # The database was made inside the suite's folder, with cases of a parametrised test.
    rows = {
        "test_a.py::test_add|run": [1, 2, 3, 4],
        "test_b.py::TestB::test_remove[1]|run": [1, 2],
        "test_b.py::TestB::test_remove[2]|run": [3, 4],
        "test_a.py::test_add_twice|run": [9],
    }
    lines = {(0, i): np.array(numbers) for i, numbers in enumerate(rows.values())}
    coverage = CoverageIndex(CoverageData(["lib.py"], list(rows), lines))
    index = SuiteIndex.build(suite, scorers=["structure"], coverage=coverage)
    assert index.scorers == ["structure", "coverage"]
    of = {m.nodeid.rpartition("::")[2]: m.components["coverage"] for m in index.similar("test_add")}
    assert of == pytest.approx({"test_remove": 1, "test_add_twice": 0, "test_weights": 0})
    assert index.similar("test_weights")[0].components["coverage"] == 0


def test_search_and_duplicates(sklearn_text, suite):
    assert sklearn_text
    index = SuiteIndex.build(suite)
    assert index.search("sum::weights", 1)[0].nodeid == "suite/test_c.py::test_weights"
    assert index.search(" ") == []
    assert [group.tier for group in index.duplicates()] == [2]


def test_without_the_model_terms_compare(sklearn_text, suite):
    assert sklearn_text
    index = SuiteIndex.build(suite)
    assert index.scorers == ["characters", "structure"]
    (reason,) = index.missing
    assert "flashwasm models install all-MiniLM-L6-v2" in reason
    assert index.similar("test_add", 1)[0].nodeid == "suite/test_a.py::test_add_twice"
    with pytest.raises(fw.CapabilityError, match="no-such"):
        SuiteIndex.build(suite, model="no-such")
    with pytest.raises(fw.CapabilityError, match="models install"):
        SuiteIndex.build(suite, scorers=["meaning"])
    with pytest.raises(fw.ShapeError, match="words have no structure"):
        SuiteIndex.build(suite, scorers=["structure"]).similar("the sum of weights")
    with pytest.raises(fw.ShapeError, match="scorers: expected one of"):
        SuiteIndex.build(suite, scorers=["bm25"])


def test_without_scikit_learn_the_model_compares(suite, folders, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(tfidf, "importlib", type("", (), {"import_module": absent}))
    with pytest.raises(fw.CapabilityError, match=r'pip install "flashwasm\[qe\]"; model .*install'):
        SuiteIndex.build(suite)
    tiny_bert.write(folders / "data" / "models" / "all-MiniLM-L6-v2")
    index = SuiteIndex.build(suite)
    assert index.scorers == ["meaning"]
    assert index.missing == [
        'scikit-learn is not installed; get it with: pip install "flashwasm[qe]"'
    ]


def test_an_empty_suite(sklearn_text, folders):
    assert sklearn_text
    (folders / "empty").mkdir()
    assert SuiteIndex.build(folders / "empty").similar("anything") == []


def test_explanations():
    a = "def test_a():\n    graph.add(weird)\n    assert graph\n    x()"
    b = "def test_b():\n  graph.add(weird)\n  assert graph == 1\n  x()"
    explainer = Explainer([a, b, "graph", "graph add"])
    explanation = explainer.explain(a, b)
    assert explanation.identifiers == ["weird", "add", "graph"]
    assert explanation.lines == ["graph.add(weird)"]
    assert explainer.explain("(", "(").identifiers == []
