"""Counts of terms, compared with those of scikit-learn's HashingVectorizer."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashwasm.qe.scoring.term_analyzers import ANALYZERS, characters
from flashwasm.qe.scoring.term_counts import FEATURES, count_terms
from flashwasm.qe.scoring.term_hashing import hash_terms

TEXTS = st.lists(st.text(st.sampled_from("abX _1\n\u00e9\U0001f600"), max_size=20), min_size=1)


def counted_by_scikit_learn(texts, analyze):
    text_module = pytest.importorskip("sklearn.feature_extraction.text")
    vectorizer = text_module.HashingVectorizer(
        analyzer=analyze, n_features=FEATURES, norm=None, alternate_sign=False, dtype=np.float32
    )
    matrix = vectorizer.transform(texts).tocsc()
    matrix.sort_indices()
    columns = np.repeat(np.arange(FEATURES), np.diff(matrix.indptr))
    return columns, matrix.indices, matrix.data


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours, theirs)


@given(TEXTS, st.integers(1, 40))
def test_counts_are_those_of_scikit_learn_for_every_size_of_batch(texts, at_once):
    found = count_terms(texts, characters, at_once=at_once)
    assert_equal(found, counted_by_scikit_learn(texts, characters))
    assert [array.dtype for array in found] == [np.int32, np.int32, np.float32]


@pytest.mark.parametrize("kind", ANALYZERS)
def test_counts_of_real_sources(kind):
    texts = [inspect.getsource(f) for f in (np.pad, np.einsum, np.block, np.interp, np.pad)]
    found = count_terms(texts, ANALYZERS[kind], at_once=1000)
    assert_equal(found, counted_by_scikit_learn(texts, ANALYZERS[kind]))


def test_texts_are_asked_for_one_after_another():
    seen = []

    def analyze(text):
        seen.append(text)
        return text.split()

    def texts():
        for text in ("a b", "c", "d"):
            yield text
            assert seen[-1] == text

    found = count_terms(texts(), analyze, at_once=2)
    assert (len(found.columns), sorted(found.owners.tolist())) == (4, [0, 0, 1, 2])


def test_long_words_and_texts_count_by_their_beginnings():
    """A literal of megabytes would take minutes and gigabytes as terms."""
    word, text = "ab" * 500, "word " * (1 << 16)
    assert characters(word + "x" * 1_000_000) == characters(word)
    assert len(characters(text)) == len(characters(text[: 1 << 18])) > 1 << 18
    assert characters("x " + word) == characters("x") + characters(word)
    assert hash_terms([word + "x" * 1_000_000]) == hash_terms([word]) != hash_terms([word[:-1]])
