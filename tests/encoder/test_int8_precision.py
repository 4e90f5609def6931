"""The precision int8 of the encoder: close to float32, the same bits in any batch, its options."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import main
from flashwasm.qe.scoring.embedder import Embedder

TEXTS = ["test add edge", "remove node", "def test_path(graph): assert 1", "weight " * 30]


@pytest.fixture
def folder(tmp_path):
    tiny_bert.write(tmp_path / "tiny", hidden_size=64, intermediate_size=256)
    return tmp_path / "tiny"


def test_embeddings_are_near_those_of_float32(folder, runtime):
    exact = fw.SentenceEncoder.load(folder, runtime=runtime)
    rounded = fw.SentenceEncoder.load(folder, precision="int8", runtime=runtime)
    assert (exact.precision, rounded.precision) == ("float32", "int8")
    assert "precision='int8'" in repr(rounded)
    a, b = exact.encode(TEXTS), rounded.encode(TEXTS)
    cosines = (a * b).sum(axis=1)
    assert cosines.min() > 0.98
    # The setting acts.
    assert cosines.max() < 1 - 1e-6


def test_an_embedding_has_the_same_bits_in_any_batch(folder, one_thread):
    encoder = fw.SentenceEncoder.load(folder, precision="int8", runtime=one_thread)
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text], batch_tokens=8) for text in TEXTS])
    assert together.tobytes() == alone.tobytes()


def test_a_precision_that_does_not_exist_is_an_error(folder):
    with pytest.raises(fw.ShapeError, match="precision"):
        fw.SentenceEncoder.load(folder, precision="int4")


def test_cached_embeddings_are_those_of_the_precision(folder, monkeypatch, tmp_path, one_thread):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    found = {}
    for precision in ("float32", "int8", "float32"):
        encoder = fw.SentenceEncoder.load(folder, precision=precision, runtime=one_thread)
        vectors = Embedder(encoder, runtime=one_thread).embed(TEXTS)
        assert found.setdefault(precision, vectors).tobytes() == vectors.tobytes()
    assert found["float32"].tobytes() != found["int8"].tobytes()


def test_the_commands_take_a_precision(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "test_a.py").write_text("def test_add(): assert 1 + 1\ndef test_path(): assert 2\n")
    made = {}
    for precision in ("float32", "int8"):
        options = ["--model", str(folder), "--precision", precision, "--json"]
        for command in (["embed", "test add"], ["similar", str(suite), "--query", "add a path"]):
            result = CliRunner().invoke(main, [*command, *options])
            assert result.exit_code == 0, result.output
            made[command[0], precision] = json.loads(result.stdout)
    assert made["embed", "int8"]["precision"] == "int8"
    for command in ("embed", "similar"):
        assert made[command, "float32"] != made[command, "int8"]
