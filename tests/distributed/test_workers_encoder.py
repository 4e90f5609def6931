"""Embedding by workers: the same bits as one encoder, and errors for different models."""

import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.distributed import WorkersEncoder
from flashwasm.qe import SuiteIndex
from small_suite import FILES

TEXTS = [f"add edge {i} to the graph" * (i % 5) + " node" for i in range(300)]


@pytest.fixture
def model(tmp_path):
    tiny_bert.write(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_workers_embed_to_the_same_bits(model, local_workers, precision):
    here = fw.SentenceEncoder.load(model, precision=precision)
    there = WorkersEncoder(local_workers, model, precision=precision)
    assert (there.dim, there.name, there.digest) == (here.dim, here.name, here.digest)
    calls = []
    vectors = there.encode(TEXTS, progress=lambda done, total: calls.append((done, total)))
    assert vectors.tobytes() == here.encode(TEXTS).tobytes()
    assert calls == [(128, 300), (256, 300), (300, 300)]
    tokens = [there.encode_tokens(TEXTS[:3]), here.encode_tokens(TEXTS[:3])]
    assert all(x.tobytes() == y.tobytes() for x, y in zip(*tokens, strict=True))
    assert there.encode([]).shape == (0, 32)


def test_a_suite_is_indexed_by_workers(tmp_path, monkeypatch, model, local_workers):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    for name, source in FILES.items():
        (tmp_path / "suite" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "suite" / name).write_text(source)
    options = {"cache": False}
    there = WorkersEncoder(local_workers, model)
    spread = SuiteIndex.build(tmp_path / "suite", model=there, **options)
    whole = SuiteIndex.build(tmp_path / "suite", model=model, **options)
    assert spread.similar("add an edge", 9) == whole.similar("add an edge", 9)
    # Both have the same settings, so that each takes over what the other has kept.
    spread.save(tmp_path / "spread.fw")
    whole.save(tmp_path / "whole.fw")
    assert (tmp_path / "spread.fw").read_bytes() == (tmp_path / "whole.fw").read_bytes()


def test_a_worker_with_another_model_says_so(model, local_workers):
    tiny_bert.write(model, hidden_size=16, num_attention_heads=2)
    encoder = WorkersEncoder(local_workers, model)
    tiny_bert.write(model, num_hidden_layers=1)
    with pytest.raises(fw.CapabilityError, match="differs from that of the process"):
        encoder.encode(TEXTS[:1])
    with pytest.raises(fw.CapabilityError, match="WorkersEncoder"):
        WorkersEncoder.load(model)
