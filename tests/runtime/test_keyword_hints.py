"""Arguments with the names of other libraries: the error states their names in flashwasm."""

import inspect

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import keyword_hints

Q = np.ones((2, 5, 8), np.float32)
ROWS = np.ones((3, 8), np.float32)
STARTS = [0, 2]


def cache():
    return fw.KVCache(2, 8, 4)


def flat():
    return fw.FlatIndex(8)


def graph():
    return fw.HNSWIndex(8)


def sharded(**options):
    with fw.ShardedIndex("hnsw", 8, threads=1, **options) as index:
        index.search(ROWS, 1, top_k=1)


# A call, the name of another library in it, and what the error says of it.
CALLS = [
    (
        lambda x: fw.attention(Q, Q, Q, **x),
        "is_causal",
        'here it is causal="top_left", or causal=True',
    ),
    (lambda x: fw.attention(Q, Q, Q, **x), "attn_mask", "here it is mask=, where True makes"),
    (lambda x: fw.attention(Q, Q, Q, **x), "enable_gqa", "heads may share a key head"),
    (lambda x: fw.attention(Q, Q, Q, **x), "cu_seqlens_q", "fw.attention_varlen accepts packed"),
    (lambda x: fw.attention_backward(Q, Q, Q, Q, Q, Q[..., 0], **x), "bias", "here it is mask="),
    (lambda x: fw.attention_scores(Q, Q, **x), "logits_soft_cap", "here it is softcap="),
    (lambda x: fw.attention_varlen(Q, Q, Q, STARTS, **x), "max_seqlen_q", "need not be given"),
    (lambda x: fw.attention_varlen(Q, Q, Q, STARTS, **x), "softmax_scale", "here it is scale="),
    (lambda x: cache().attention(Q, **x), "window_size", "here it is window=(left, right)"),
    (lambda x: fw.KVCache(2, 8, 4, **x), "batch_size", "here it is batch="),
    (lambda x: fw.Runtime(**x), "num_threads", "here it is threads="),
    (lambda x: fw.layer_norm(Q, **x), "normalized_shape", "here it is axis="),
    (lambda x: fw.rms_norm(Q, **x), "variance_epsilon", "here it is eps="),
    (lambda x: fw.rms_norm(Q, **x), "backend", "it always runs in the sandbox"),
    (lambda x: fw.attention_scores(Q, Q, **x), "backend", "it always runs in the sandbox"),
    (lambda x: fw.softmax(Q, **x), "dim", "here it is axis="),
    (lambda x: fw.cosine_top_k(ROWS, ROWS, 1, **x), "largest", "the highest scores come first"),
    (lambda x: fw.FlatIndex(8, **x), "space", 'here it is metric="cosine", "dot" or "l2"'),
    (lambda x: fw.HNSWIndex(8, **x), "M", "here it is m="),
    (lambda x: fw.HNSWIndex(8, **x), "max_elements", "an index grows"),
    (lambda x: fw.HNSWIndex(8, **x), "num_threads", "here it is runtime=fw.Runtime"),
    (lambda x: sharded(**x), "efConstruction", "here it is ef_construction="),
    (lambda x: flat().add(data=ROWS, **x), "labels", "here it is vectors="),
    (lambda x: flat().search(ROWS, **x), "n_neighbors", "here it is k="),
    (lambda x: graph().search_report(ROWS, 1, **x), "ef_search", "here it is ef="),
    (lambda x: fw.LoRAAdapter(8, 8, **x), "lora_alpha", "here it is alpha="),
    (lambda x: fw.SentenceEncoder.load(**x), "device", "everything runs on the CPU"),
    (lambda x: fw.SentenceEncoder.encode(None, [], **x), "batch_size", "here it is batch_tokens="),
    (lambda x: fw.SentenceEncoder.encode_tokens(None, [], **x), "show_progress_bar", "progress="),
]


@pytest.mark.parametrize(("call", "name", "advice"), CALLS, ids=[row[1] for row in CALLS])
def test_the_error_says_what_the_argument_is_called_here(call, name, advice):
    with pytest.raises(TypeError, match="got an unexpected keyword argument") as caught:
        call({name: 1})
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (fw.SentenceEncoder, "'folder'; call SentenceEncoder.load instead"),
        (lambda: fw.SentenceEncoder("name"), "'runtime'; call SentenceEncoder.load instead"),
        (lambda: fw.SentenceEncoder(device="cpu"), "call SentenceEncoder.load instead"),
        (lambda: fw.Whitening(np.ones(3)), "call Whitening.fit or Whitening.load instead"),
    ],
)
def test_the_error_of_a_class_names_the_methods_that_create_its_objects(call, advice):
    with pytest.raises(TypeError, match=r"^(SentenceEncoder|Whitening): ") as caught:
        call()
    assert advice in str(caught.value)


def test_the_advice_of_a_shard_reaches_the_user():
    with pytest.raises(TypeError, match=r"'top_k'; here it is k="):
        sharded()


def test_advice_names_only_arguments_that_the_function_takes():
    """`attention_varlen` has no mask, and a FlatIndex no graph: Python's plain message stays."""
    with pytest.raises(TypeError, match=r"keyword argument 'attn_mask'$"):
        fw.attention_varlen(Q, Q, Q, STARTS, attn_mask=None)
    with pytest.raises(TypeError, match=r"keyword argument 'M'$"):
        fw.FlatIndex(8, M=16)


def test_other_errors_stay_as_they_are():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'axes'"):
        fw.softmax(Q, axes=0)
    with pytest.raises(fw.DTypeError, match=r"^x: expected float32"):
        fw.softmax(["a"])
    with pytest.raises(fw.DTypeError, match=r"^x: expected an array") as caught:
        fw.softmax([[1.0], [1.0, 2.0]])
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'dim'"):
        fw.FlatIndex(metric="dot")


def test_the_error_of_an_inherited_method_names_the_class_of_the_object():
    with pytest.raises(TypeError, match=r"^FlatIndex\.add\(\) got an .*'labels'; here it is ids="):
        flat().add(ROWS, labels=[1, 2, 3])
    with pytest.raises(TypeError, match=r"^HNSWIndex\.add\(\) got an unexpected .*'x'"):
        graph().add(x=ROWS)
    with pytest.raises(TypeError, match=r"^LoRAAdapter\.__init__\(\) missing 1 required"):
        fw.LoRAAdapter(8)


def test_signature_and_help_are_those_of_the_function():
    assert list(inspect.signature(fw.softmax).parameters)[:2] == ["x", "axis"]
    assert next(iter(inspect.signature(fw.FlatIndex).parameters)) == "dim"
    assert fw.layer_norm.__doc__.startswith("Normalise")
    assert fw.softmax.__module__ == "flashwasm.ops.normalization"


def test_every_advice_has_a_form_that_the_error_can_show():
    tables = {name: table for name, table in vars(keyword_hints).items() if isinstance(table, dict)}
    for table in (x for name, x in tables.items() if name.isupper() and not name.startswith("_")):
        for name, advice in table.items():
            assert name.isidentifier()
            assert advice
            assert not advice.endswith((".", " "))
