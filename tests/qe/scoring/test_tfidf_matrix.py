"""The tf-idf matrix, compared with scikit-learn's with a vocabulary, and its cache."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashwasm.qe.scoring import term_analyzers
from flashwasm.qe.scoring.array_cache import cached_arrays
from flashwasm.qe.scoring.term_hashing import hash_terms
from flashwasm.qe.scoring.tfidf_matrix import TfIdfMatrix

SOURCES = [
    "def test_add(tmp_path): assert graph.add_edge(1, 2)",
    "def test_add_twice(tmp_path): assert graph.add_edge(2, 1)",
    "def test_remove(self): self.graph.remove_node(1)",
    "async def test_weights(): assert sum(weights) == approx(1)",
    "not python at all (",
]
# Arguments of scikit-learn's vectorizers that make them count the same terms.
SKLEARN = {
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)},
    "identifiers": {"analyzer": term_analyzers.identifiers},
    "structure": {"analyzer": term_analyzers.structure},
}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def sklearn_text():
    return pytest.importorskip("sklearn.feature_extraction.text")


@pytest.mark.parametrize("kind", ["characters", "identifiers", "structure"])
def test_cosines_equal_those_of_scikit_learn_without_hashing(sklearn_text, kind):
    vectorizer = sklearn_text.TfidfVectorizer(**SKLEARN[kind], sublinear_tf=True)
    matrix = vectorizer.fit_transform(SOURCES)
    ours = TfIdfMatrix(kind, SOURCES)
    for i, source in enumerate(SOURCES):
        expected = (matrix @ matrix[i].T).toarray().ravel()
        assert np.allclose(ours.scores(i), expected, atol=1e-5)
        assert np.allclose(ours.scores(source), expected, atol=1e-5)
    other = "def test_other(tmp_path): graph.add_node(approx(3))"
    expected = (matrix @ vectorizer.transform([other]).T).toarray().ravel()
    assert np.allclose(ours.scores(other), expected, atol=1e-5)


def test_cosines_between_texts_are_those_of_queries():
    ours = TfIdfMatrix("characters", SOURCES)
    chosen = [3, 0, 1]
    expected = np.array([ours.scores(i)[chosen] for i in chosen])
    assert np.allclose(ours.between(chosen), expected, atol=1e-6)


def test_one_text_and_texts_without_terms_have_finite_scores():
    assert TfIdfMatrix("characters", ["abc def"]).scores(0) == pytest.approx([1])
    assert TfIdfMatrix("structure", ["(", "x"]).scores(0).tolist() == [0, 0]


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
def test_terms_of_the_structure(source, expected):
    assert sorted(term_analyzers.structure(source)) == sorted(expected)


@given(st.text(st.sampled_from("abX _1\n\t\x1c\u2003é\u0130\U0001f600"), max_size=30))
def test_runs_of_characters_equal_those_of_scikit_learn(sklearn_text, text):
    count = sklearn_text.CountVectorizer(**SKLEARN["characters"]).build_analyzer()
    assert sorted(term_analyzers.characters(text)) == sorted(count(text))


@given(st.lists(st.text(max_size=12)))
def test_terms_are_hashed_as_scikit_learn_does(words):
    utils = pytest.importorskip("sklearn.utils")
    expected = [abs(int(utils.murmurhash3_32(word))) for word in words]
    assert hash_terms(words).tolist() == expected


def test_a_query_without_known_terms_has_cosines_of_zero():
    for query in ("", "zzz"):
        assert not TfIdfMatrix("characters", ["abc def"]).scores(query).any()


def test_the_matrix_is_cached(folders, monkeypatch):
    first = TfIdfMatrix("characters", SOURCES, cache=True).scores(0)
    with monkeypatch.context() as later:
        later.setattr(TfIdfMatrix, "_fit", None)
        assert np.array_equal(TfIdfMatrix("characters", SOURCES, cache=True).scores(0), first)
    (path,) = (folders / "cache" / "tfidf").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="ignoring the damaged cache"):
        again = TfIdfMatrix("characters", SOURCES, cache=True).scores(0)
    assert np.array_equal(again, first)
    for i in range(12):
        cached_arrays("tfidf", f"key {i}", lambda: {"x": np.ones(1, np.float32)}, cache=True)
    assert len(list(path.parent.iterdir())) == 8


def test_a_cached_matrix_in_use_is_not_displaced_by_others(folders):
    def stored(key):
        cached_arrays("x", key, lambda: {"x": np.ones(1, np.float32)}, cache=True)
        return folders / "cache" / "x" / f"{key}.bin"

    for i in range(8):
        os.utime(stored(f"old {i}"), (i, i))
    stored("old 0")
    stored("new")
    kept = {path.stem for path in (folders / "cache" / "x").iterdir()}
    assert kept == {"new", "old 0", *(f"old {i}" for i in range(2, 8))}


def test_a_cache_that_cannot_be_written_is_a_warning(folders, monkeypatch):
    (folders / "occupied").write_text("")
    monkeypatch.setenv("FLASHWASM_CACHE", str(folders / "occupied" / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot (read|write)"):
        arrays = cached_arrays("x", "key", lambda: {"x": np.ones(1, np.float32)}, cache=True)
    assert arrays["x"] == 1
