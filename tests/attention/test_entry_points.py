"""Every public function of attention accepts every option, and documents it."""

import inspect
import re

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.flash_attention.options import (
    DEFAULTS,
    AttentionOptions,
    PackedOptions,
    ScoreOptions,
)
from sample_arrays import assert_same_bits, normal

X = normal(2, 6, 8)


def attention_of_a_cache(**options):
    cache = fw.KVCache(2, 8, capacity=6)
    cache.append(X, X)
    return cache.attention(X, **options)


def gradients(**options):
    out, lse = fw.attention(X, X, X, return_lse=True)
    return fw.attention_backward(out, X, X, X, out, lse, **options)


# The public functions of attention, each called with some operands and the options given.
ENTRY_POINTS = {
    fw.attention: lambda **o: fw.attention(X, X, X, **o),
    fw.attention_scores: lambda **o: fw.attention_scores(X, X, **o),
    fw.attention_varlen: lambda **o: fw.attention_varlen(X, X, X, [0, 2], **o),
    fw.attention_backward: gradients,
    fw.KVCache.attention: attention_of_a_cache,
}
# The options of `attention`, which the others take too, except for these reasons.
NOT_TAKEN = {
    (fw.attention_scores, "dropout"): "scores are what dropout is applied to",
    (fw.attention_scores, "seed"): "there is no dropout",
    (fw.attention_scores, "return_lse"): "it is the logarithm of the sum that softmax divides by",
    (fw.attention_scores, "out"): "the matrix is for inspection, never for a loop that reuses it",
    (fw.attention_varlen, "mask"): "no array broadcasts to scores of several lengths",
    (fw.attention_varlen, "kv_lengths"): "cu_seqlens_k has the lengths",
    (fw.attention_backward, "return_lse"): "it takes the log-sum-exp",
    (fw.KVCache.attention, "runtime"): "the cache lies in the memory of its own runtime",
    (fw.attention_scores, "backend"): "it is for inspection of what the sandbox computes",
    (fw.attention_varlen, "backend"): "other backends take arrays with a head axis",
    (fw.attention_backward, "backend"): "other backends have no gradient",
    (fw.KVCache.attention, "backend"): "the cache lies in linear memory, in the kernel's formats",
}
OPTIONS = [
    x.name
    for x in inspect.signature(fw.attention).parameters.values()
    if x.kind is inspect.Parameter.KEYWORD_ONLY
]


@pytest.fixture(params=ENTRY_POINTS, ids=lambda function: function.__qualname__)
def entry_point(request):
    return request.param


def test_options_of_attention():
    assert [*DEFAULTS, "return_lse", "out", "runtime", "timeout", "backend"] == OPTIONS
    assert DEFAULTS.keys() == AttentionOptions.__annotations__.keys()


def test_every_entry_point_takes_every_option(entry_point):
    parameters = inspect.signature(entry_point).parameters
    expected = {name for name in OPTIONS if (entry_point, name) not in NOT_TAKEN}
    assert expected <= parameters.keys()
    for name in expected & DEFAULTS.keys():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == DEFAULTS[name]


@pytest.mark.parametrize(("function", "name"), NOT_TAKEN)
def test_an_option_that_is_listed_as_not_taken_is_refused(function, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        ENTRY_POINTS[function](**{name: None})


def test_docstrings_document_every_parameter_in_order(entry_point):
    section = inspect.getdoc(entry_point).partition("Parameters\n----------\n")[2]
    section = section.partition("\n\n")[0]
    entries = re.findall(r"^(\S.*) : .+\n    \S", section, re.MULTILINE)
    names = [name for name in inspect.signature(entry_point).parameters if name != "self"]
    assert entries == names


@pytest.mark.parametrize("function", [fw.attention, fw.attention_varlen, fw.KVCache.attention])
def test_help_shows_the_options(function):
    text = inspect.getdoc(function)
    assert "**options" not in text
    assert "sinks : array_like of float, shape (Hq,), optional\n" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fw.attention(normal(5, 8), normal(6, 7), normal(6, 7)),
            "k: .* 8, got shape (6, 7)",
        ),
        (
            lambda: fw.attention(normal(5, 8), normal(6, 8), normal(4, 8)),
            "v: .* of shape (6, 8), got shape (4, 8)",
        ),
        (
            lambda: fw.attention(normal(5, 300), normal(6, 300), normal(6, 8)),
            "q: .* 256, got shape (5, 300)",
        ),
        (  # flash-attn's order of the axes.
            lambda: fw.attention(normal(2, 50, 8, 4), normal(2, 70, 8, 4), normal(2, 70, 8, 4)),
            "q: .* 70 heads of k, got 50: shapes q (2, 50, 8, 4) .* axes (..., heads, length, dim)",
        ),
        (
            lambda: fw.attention_varlen(normal(9, 4, 8), normal(9, 3, 8), normal(9, 3, 8), [0, 9]),
            "q: .* 3 heads of k, got 4: shapes q (9, 4, 8) and k .* (length, heads, dim)",
        ),
        (
            lambda: fw.attention_varlen(normal(9, 4, 8), normal(9, 4, 7), normal(9, 4, 7), [0, 9]),
            "k: .* 8, got shape (9, 4, 7)",
        ),
        (
            lambda: fw.attention_varlen(normal(9, 4, 8), normal(9, 4, 8), normal(6, 4, 8), [0, 9]),
            "v: .* of shape (9, 4, 8), got shape (6, 4, 8)",
        ),
    ],
)
def test_errors_show_shapes_as_they_were_given(call, message):
    pattern = re.escape(message).replace(re.escape(".*"), ".*")
    with pytest.raises(fw.ShapeError, match=rf"^{pattern}$"):
        call()


def test_an_unknown_option_is_refused_by_name(entry_point):
    name = entry_point.__name__
    message = rf"{name}\(\) got an unexpected keyword argument 'casual'"
    with pytest.raises(TypeError, match=message):
        ENTRY_POINTS[entry_point](casual=True)


def test_a_default_given_is_as_a_default_left_out(entry_point):
    declared = {fw.attention_scores: ScoreOptions, fw.attention_varlen: PackedOptions}
    names = declared.get(entry_point, AttentionOptions).__annotations__
    given = ENTRY_POINTS[entry_point](**{name: DEFAULTS[name] for name in names})
    left_out = ENTRY_POINTS[entry_point]()
    for some, others in zip(np.atleast_1d(given), np.atleast_1d(left_out), strict=True):
        assert_same_bits(some, others)
