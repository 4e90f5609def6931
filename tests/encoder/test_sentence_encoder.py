"""The sentence encoder against BERT in float64, with a random tiny model and the real one."""

import hashlib
import json
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import flashwasm as fw
import tiny_bert
from bert_oracle import Oracle
from flashwasm.encoder.sentence_encoder import batches_by_length

TEXTS = [
    "test add edge",
    "",
    "def test_remove_node(graph): assert graph.remove(1) == 2",
    "weight",
    "Ünïcode → 世界 🚀",
    "path " * 60,
    "test add edge",
]


@pytest.fixture
def tiny(tmp_path):
    """Return a folder with a model, its tensors and its configuration."""
    return tmp_path / "tiny", *tiny_bert.write(tmp_path / "tiny")


def token_ids(folder, texts, max_length):
    """Return the token ids of each text."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return [tokenizer.encode(text).ids for text in texts]


def assert_embeds_like_the_oracle(folder, oracle, texts, max_length, pooling="mean", runtime=None):
    """Assert that a model's embeddings lie within the oracle's tolerance; return the encoder."""
    encoder = fw.SentenceEncoder.load(folder, runtime=runtime)
    result = encoder.encode(texts, max_length=max_length)
    rows = [oracle.sentence(ids, pooling) for ids in token_ids(folder, texts, max_length)]
    expected = np.stack(rows)
    assert result.dtype == np.float32
    assert result.shape == expected.shape
    assert np.isfinite(result).all()
    assert np.abs(result - expected).max() <= oracle.tolerance
    assert np.allclose(np.linalg.norm(result, axis=1), 1, atol=1e-6)
    return encoder


# The forward pass.


def test_encode_equals_the_oracle(tiny, runtime):
    folder, tensors, config = tiny
    assert_embeds_like_the_oracle(folder, Oracle(tensors, config), TEXTS, 40, runtime=runtime)


def test_tokens_equal_the_oracle(tiny, one_thread):
    folder, tensors, config = tiny
    oracle = Oracle(tensors, config)
    encoder = fw.SentenceEncoder.load(folder, runtime=one_thread)
    results = encoder.encode_tokens(TEXTS, max_length=40)
    for ids, result in zip(token_ids(folder, TEXTS, 40), results, strict=True):
        expected = oracle.hidden(ids)
        assert result.dtype == np.float32
        assert result.shape == expected.shape
        # The tolerance is for a unit vector, whose components are smaller than these by this scale.
        scale = np.abs(expected).max() * np.sqrt(config["hidden_size"])
        assert np.abs(result - expected).max() <= oracle.tolerance * scale


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh"])
def test_each_form_of_gelu_equals_the_oracle(tmp_path, one_thread, activation):
    tensors, config = tiny_bert.write(tmp_path, hidden_act=activation)
    assert_embeds_like_the_oracle(tmp_path, Oracle(tensors, config), TEXTS, 40, runtime=one_thread)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_each_pooling_equals_the_oracle(tmp_path, one_thread, pooling):
    key = {"mean": "mean_tokens", "cls": "cls_token"}[pooling]
    flags = dict.fromkeys(["pooling_mode_cls_token", "pooling_mode_mean_tokens"], False)
    tensors, config = tiny_bert.write(tmp_path, pooling=flags | {f"pooling_mode_{key}": True})
    oracle = Oracle(tensors, config)
    assert_embeds_like_the_oracle(tmp_path, oracle, TEXTS, 40, pooling, one_thread)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64], ids=str)
def test_other_dtypes_are_converted(tmp_path, one_thread, dtype):
    def convert(made):
        return {name: tensor.astype(dtype) for name, tensor in made.items()}

    tensors, config = tiny_bert.write(tmp_path, change_tensors=convert)
    oracle = Oracle(tensors, config)
    assert_embeds_like_the_oracle(tmp_path, oracle, TEXTS, 40, runtime=one_thread)


def test_names_with_a_prefix_and_old_names_are_read(tmp_path, one_thread):
    def rename(made):
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new_name, old_name in old.items():
            made = {name.replace(new_name, old_name): tensor for name, tensor in made.items()}
        return {f"bert.{name}": tensor for name, tensor in made.items()}

    plain, config = tiny_bert.write(tmp_path / "plain")
    tiny_bert.write(tmp_path / "renamed", change_tensors=rename)
    oracle = Oracle(plain, config)
    assert_embeds_like_the_oracle(tmp_path / "renamed", oracle, TEXTS, 40, runtime=one_thread)


# Determinism, batches and memory.


def test_bits_do_not_depend_on_the_other_texts(tiny, runtime):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=runtime)
    together = encoder.encode(TEXTS, max_length=40)
    alone = np.concatenate([encoder.encode([text], max_length=40) for text in TEXTS])
    small = encoder.encode(TEXTS, max_length=40, batch_tokens=1)
    backwards = encoder.encode(TEXTS[::-1], max_length=40, batch_tokens=50)[::-1]
    assert (together == alone).all()
    assert (together == small).all()
    assert (together == backwards).all()


def test_batches_hold_every_text_once_within_their_tokens():
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 60, 200)]
    batches = list(batches_by_length(lengths, 128))
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(sum(lengths[i] for i in batch) <= 128 for batch in batches)
    assert list(batches_by_length([300, 5], 128)) == [[0], [1]]


def test_buffers_are_kept_between_calls(tiny):
    with fw.Runtime(threads=1) as runtime:
        encoder = fw.SentenceEncoder.load(tiny[0], runtime=runtime)
        encoder.encode(TEXTS, max_length=40)
        in_use = runtime.stats().bytes_in_use
        for _ in range(3):
            encoder.encode(TEXTS, max_length=40)
        assert runtime.stats().bytes_in_use == in_use


def test_progress_counts_the_texts(tiny, one_thread):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    seen = []
    encoder.encode(TEXTS, max_length=40, batch_tokens=40, progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == (len(TEXTS), len(TEXTS))


def test_texts_are_cut_at_the_models_positions(tiny, one_thread):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    assert [len(rows) for rows in encoder.encode_tokens(["path " * 60])] == [40]
    assert [len(rows) for rows in encoder.encode_tokens(["path " * 60], max_length=9)] == [9]


# Attributes and arguments.


def test_attributes(tiny, one_thread):
    folder = tiny[0]
    encoder = fw.SentenceEncoder.load(str(folder), runtime=one_thread)
    weights = (folder / "model.safetensors").read_bytes()
    assert (encoder.name, encoder.dim) == ("tiny", 32)
    assert encoder.digest == hashlib.sha256(weights).hexdigest()


def test_no_texts_give_no_rows(tiny, one_thread):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    result = encoder.encode([], max_length=40)
    assert result.shape == (0, 32)
    assert result.dtype == np.float32
    assert encoder.encode_tokens([], max_length=40) == []


def test_texts_may_be_any_iterable(tiny, one_thread):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    expected = encoder.encode(["test", "node"], max_length=40)
    for texts in (("test", "node"), iter(["test", "node"]), np.array(["test", "node"])):
        assert (encoder.encode(texts, max_length=40) == expected).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("test", "texts is a str"),
        (["test", 3], r"texts\[1\] is int"),
        ([b"test"], r"texts\[0\] is bytes"),
        (["test", None], r"texts\[1\] is NoneType"),
        (["\ud800"], r"texts\[0\] is not valid Unicode"),
        (None, "texts is NoneType"),
        (7, "texts is int"),
    ],
)
def test_texts_that_are_not_strings_are_refused(tiny, one_thread, texts, message):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    with pytest.raises(fw.DTypeError, match=message):
        encoder.encode(texts, max_length=40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 2}, "max_length is 2; tiny needs at least 3"),
        ({"max_length": 0}, "max_length"),
        ({"batch_tokens": 0}, "batch_tokens"),
    ],
)
def test_sizes_that_leave_no_room_are_refused(tiny, one_thread, options, message):
    encoder = fw.SentenceEncoder.load(tiny[0], runtime=one_thread)
    with pytest.raises(fw.ShapeError, match=message):
        encoder.encode(["test"], **options)


# Folders whose model cannot be loaded.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; supported: gelu"),
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"num_attention_heads": 5}, "not a multiple of num_attention_heads 5"),
        ({"layer_norm_eps": "tiny"}, "layer_norm_eps is 'tiny'"),
        ({"hidden_act": ["gelu"]}, "hidden_act is"),
        ({"vocab_size": 10}, "the tokenizer has 86 tokens, the model 10"),
    ],
)
def test_configurations_that_the_kernels_cannot_follow_are_refused(tmp_path, settings, message):
    tiny_bert.write(tmp_path, **settings)
    with pytest.raises(fw.CapabilityError, match=message):
        fw.SentenceEncoder.load(tmp_path)


@pytest.mark.parametrize("value", [None, "384", 0, -1, 1.5, True])
def test_a_size_that_is_not_a_positive_number_is_refused(tiny, value):
    folder, _, config = tiny
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": value}))
    with pytest.raises(fw.CapabilityError, match="hidden_size is"):
        fw.SentenceEncoder.load(folder)


def test_a_tensor_that_is_missing_is_named(tmp_path):
    name = "encoder.layer.1.output.dense.bias"

    def drop(made):
        return {key: tensor for key, tensor in made.items() if key != name}

    tiny_bert.write(tmp_path, change_tensors=drop)
    with pytest.raises(fw.CapabilityError, match=f"lack tensor '{name}'"):
        fw.SentenceEncoder.load(tmp_path)


def test_a_tensor_of_another_shape_is_named(tmp_path):
    name = "encoder.layer.0.attention.self.key.weight"
    tiny_bert.write(tmp_path, change_tensors=lambda made: made | {name: made[name][:, :-1].copy()})
    with pytest.raises(fw.CapabilityError, match=rf"'{name}' has shape \(32, 31\).*\(32, 32\)"):
        fw.SentenceEncoder.load(tmp_path)


# A header with the shape of a tensor that has no elements, one of whose axes leaves int64.
_HEADER = b'{"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}'
EMPTY_BUT_LONG = len(_HEADER).to_bytes(8, "little") + _HEADER


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[]", "config.json is not a JSON object"),
        ("config.json", b"\xff", "config.json is not JSON"),
        ("config.json", b"[" * 100_000, "config.json is not JSON"),
        ("config.json", b" " * (1 << 20) + b"{}", "1048578 bytes; expected at most 1048576"),
        ("model.safetensors", b"nothing", "not a safetensors file"),
        ("model.safetensors", EMPTY_BUT_LONG, "not a safetensors file"),
        ("tokenizer.json", b"{}", "cannot be read as a tokenizer"),
    ],
)
def test_damaged_files_are_named(tiny, file, content, message):
    (tiny[0] / file).write_bytes(content)
    with pytest.raises(fw.CapabilityError, match=message):
        fw.SentenceEncoder.load(tiny[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b'"[UNK]": 1', b'"[UNX]": 1'), "cannot be used: .*UNK"),
        ((b'"test": 4', b'"test": 4000000000'), "has token 4000000000; the model has 86 tokens"),
        ((b'"test": 4', b'"test": 86'), "has token 86; the model has 86 tokens"),
    ],
)
def test_a_tokenizer_that_fails_at_a_text_is_named(tiny, change, message):
    """Reading it shows neither a token that is missing nor a number that is too large."""
    path = tiny[0] / "tokenizer.json"
    compact = path.read_bytes().replace(b'": ', b'":').replace(b'":', b'": ')
    assert change[0] in compact
    path.write_bytes(compact.replace(*change))
    encoder = fw.SentenceEncoder.load(tiny[0])
    with pytest.raises(fw.CapabilityError, match=rf"tokenizer\.json {message}"):
        encoder.encode(["test", "\u2603"])


def test_pooling_and_modules_that_are_unsupported_are_named(tiny):
    folder = tiny[0]
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(fw.CapabilityError, match="module 'Dense' is not supported"):
        fw.SentenceEncoder.load(folder)
    (folder / "modules.json").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(fw.CapabilityError, match="pooling max_tokens is not supported"):
        fw.SentenceEncoder.load(folder)


@pytest.mark.parametrize("module", ["tokenizers", "safetensors"])
def test_a_package_that_is_missing_is_named(tiny, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(fw.CapabilityError, match=rf"{module} cannot be imported .*flashwasm\[qe\]"):
        fw.SentenceEncoder.load(tiny[0])


# The real model.


@pytest.mark.slow
def test_the_real_model_equals_the_oracle(real_model, one_thread):
    config = json.loads((real_model / "config.json").read_text())
    oracle = Oracle(load_file(real_model / "model.safetensors"), config)
    assert oracle.tolerance < 1e-4
    texts = [*TEXTS, "That is a happy person", "assert np.allclose(a, b) " * 40]
    encoder = assert_embeds_like_the_oracle(real_model, oracle, texts, 256, runtime=one_thread)
    assert encoder.dim == 384


@pytest.mark.slow
def test_the_real_model_gives_the_similarities_of_its_model_card(real_model, one_thread):
    encoder = fw.SentenceEncoder.load(real_model, runtime=one_thread)
    texts = ["That is a happy person", "That is a very happy person", "Today is a sunny day"]
    happy, happier, sunny = encoder.encode(texts)
    # The model card gives 0.943 and 0.257 for this example.
    assert round(float(happy @ happier), 2) == 0.94
    assert round(float(happy @ sunny), 2) == 0.26
