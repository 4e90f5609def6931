"""A small suite and a tiny random model, for the tests of `SuiteIndex`."""

import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.qe import SuiteIndex
from small_suite import FILES


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep every test away from the user's folders; return the folder that it works in."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(tmp_path):
    tiny_bert.write(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def suite(tmp_path):
    for name, source in FILES.items():
        path = tmp_path / "suite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path / "suite"


@pytest.fixture
def build(model, suite, one_thread):
    def build(path=suite, scorers=("meaning",), **options):
        return SuiteIndex.build(path, model=model, scorers=scorers, runtime=one_thread, **options)

    return build


@pytest.fixture
def embedded(monkeypatch):
    """Return a list that collects the texts that the model embeds from now on."""
    texts = []
    encode = fw.SentenceEncoder.encode

    def record(self, sources, **options):
        texts.extend(sources)
        return encode(self, sources, **options)

    monkeypatch.setattr(fw.SentenceEncoder, "encode", record)
    return texts
