"""The cache of embeddings, as `SuiteIndex` and several processes use it."""

import contextlib
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.qe.scoring import embedder as embedder_module
from flashwasm.qe.scoring.embedder import Embedder
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_writing import write_container
from small_suite import FILES


def cache_file(folders):
    (path,) = (folders / "cache" / "embeddings").iterdir()
    return path


def test_the_second_run_loads_no_model(build, folders, monkeypatch):
    first = build().similar("test_one")
    with monkeypatch.context() as later:
        later.setattr(fw.SentenceEncoder, "load", None)
        assert build().similar("test_one") == first
    build().similar("a text")
    # Each write makes a new file. Reading sets the time of the file, so the time says nothing.
    written = cache_file(folders).stat().st_ino
    monkeypatch.setattr(fw.SentenceEncoder, "load", None)
    assert len(build().similar("a text")) == 9
    assert cache_file(folders).stat().st_ino == written


def test_only_changed_tests_are_embedded_again(build, suite, embedded):
    build()
    embedded.clear()
    source = FILES["test_same.py"].replace("assert graph", "assert weight")
    (suite / "test_same.py").write_text("# Lines move.\n\n" + source)
    (suite / "test_same.py").rename(suite / "test_renamed.py")
    after = build().similar("test_one", 100)
    assert embedded == ["test two weight"]
    assert after == build(cache=False).similar("test_one", 100)


def test_without_a_cache_nothing_is_written(build, folders, embedded):
    for _ in range(2):
        build(cache=False)
    assert len(embedded) == 18
    assert not (folders / "cache").exists()


def test_another_model_has_its_own_embeddings(build, model, embedded):
    build()
    embedded.clear()
    tiny_bert.write(model, pooling={"pooling_mode_cls_token": True})
    build()
    assert len(embedded) == 9


def foreign(folders):
    """Return the content of another model's cache, which is whole but has shorter vectors."""
    other = EmbeddingCache(folders / "other")
    other.add([b"k" * 32], np.ones((1, 7), np.float32))
    other.save()
    return (folders / "other").read_bytes()


def container(**sections):
    """Return a file of embeddings with these sections."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        write_container(path, Container("embedding-cache", sections=sections))
        return path.read_bytes()


DAMAGES = {
    "empty": (lambda *_: b"", "not a flashwasm file"),
    "no header": (lambda content, _: content[:20], "truncated"),
    "truncated": (lambda content, _: content[:-1], "truncated"),
    "longer": (lambda content, _: content + b"x", "too long"),
    "one bit": (
        lambda content, _: content[:-70] + bytes([content[-70] ^ 1]) + content[-69:],
        "damaged",
    ),
    "another format": (lambda content, _: b"PK\3\4" + content, "not a flashwasm file"),
    "an earlier version's": (lambda *_: b"FWEMBED1" + bytes(64), "not a flashwasm file"),
    "no embeddings": (lambda *_: container(vectors=np.ones((2, 3), np.float32)), "no embeddings"),
    "fewer digests": (
        lambda *_: container(
            digests=np.zeros((1, 32), np.uint8), vectors=np.ones((2, 3), np.float32)
        ),
        "no embeddings",
    ),
    "another model's": (lambda _, folders: foreign(folders), None),
}


@pytest.mark.parametrize(("damage", "warning"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_made_anew(build, folders, embedded, damage, warning):
    expected = build().similar("test_one")
    path = cache_file(folders)
    path.write_bytes(damage(path.read_bytes(), folders))
    embedded.clear()
    if warning:
        with pytest.warns(RuntimeWarning, match=f"ignoring the damaged cache .*{warning}"):
            assert build().similar("test_one") == expected
    else:
        assert build().similar("test_one") == expected
    assert len(embedded) == 9
    embedded.clear()
    assert build().similar("test_one") == expected
    assert embedded == []


@pytest.mark.parametrize("obstacle", ["a file", "a folder in the file's place"])
def test_a_cache_that_cannot_be_written_is_a_warning(build, folders, monkeypatch, obstacle):
    """Put something in the way: a lack of permissions would not stop a test that root runs."""
    expected = build(cache=False).similar("test_one")
    if obstacle == "a file":
        (folders / "occupied").write_text("kept")
        monkeypatch.setenv("FLASHWASM_CACHE", str(folders / "occupied" / "cache"))
    else:
        build()
        path = cache_file(folders)
        path.unlink()
        path.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot (read|write)"):
        assert build().similar("test_one") == expected


def test_an_interrupted_run_keeps_what_it_embedded(build, monkeypatch, embedded):
    monkeypatch.setattr(embedder_module, "_TEXTS_AT_ONCE", 2)
    encode = fw.SentenceEncoder.encode

    def interrupted(self, sources, **options):
        if len(embedded) == 6:
            raise KeyboardInterrupt
        return encode(self, sources, **options)

    with monkeypatch.context() as first:
        first.setattr(fw.SentenceEncoder, "encode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build()
    done = embedded.copy()
    assert len(done) == 6
    embedded.clear()
    build()
    assert len(embedded) == 3
    assert not set(embedded) & set(done)


def test_a_killed_run_keeps_the_vectors_that_it_saved(build, embedded, monkeypatch):
    monkeypatch.setattr(embedder_module, "_TEXTS_AT_ONCE", 2)
    # Save after each batch, because a killed process cannot save at its end.
    monkeypatch.setattr(embedder_module, "_BETWEEN_SAVES", 0)
    encode, save = fw.SentenceEncoder.encode, EmbeddingCache.save
    saves = []

    class Killed(BaseException):
        pass

    def killed(self, sources, **options):
        if len(embedded) == 6:
            monkeypatch.setattr(EmbeddingCache, "save", lambda _: None)
            raise Killed
        return encode(self, sources, **options)

    with monkeypatch.context() as first:
        first.setattr(EmbeddingCache, "save", lambda cache: saves.append(save(cache)))
        first.setattr(fw.SentenceEncoder, "encode", killed)
        with pytest.raises(Killed):
            build()
    assert len(saves) >= 3
    monkeypatch.setattr(EmbeddingCache, "save", save)
    embedded.clear()
    build()
    assert len(embedded) == 3


def test_another_build_of_the_kernels_uses_no_cached_embeddings(build, embedded, monkeypatch):
    build()
    embedded.clear()
    monkeypatch.setattr(embedder_module, "module_sha256", lambda variant: f"another {variant}")
    build()
    assert len(embedded) == 9


def test_progress_counts_what_the_cache_lacks(model, monkeypatch):
    monkeypatch.setattr(embedder_module, "_TEXTS_AT_ONCE", 2)
    embedder = Embedder(model)
    calls = []
    embedder.embed(list("abcde"), progress=lambda *counts: calls.append(counts))
    embedder.embed(list("abcdef"), progress=lambda *counts: calls.append(counts))
    embedder.embed(list("abc"), progress=lambda *counts: calls.append(counts))
    assert calls == [(0, 5), (2, 5), (4, 5), (5, 5), (0, 1), (1, 1)]


def key(writer, i):
    return hashlib.sha256(f"{writer}:{i}".encode()).digest()


def vector(key):
    return np.frombuffer(key, np.uint8)[:8].astype(np.float32)


# Code of a process that saves after each of its 20 vectors.
WRITER = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from test_embedding_cache import key, vector
keys = [key({writer}, i) for i in range(20)]
cache = EmbeddingCache(Path({file!r}))
cache.missing(keys)
for i in keys:
    cache.add([i], vector(i)[None])
    cache.save()
"""


def test_processes_that_write_one_file_lose_nothing(folders):
    file = folders / "shared.bin"
    path = [str(Path(__file__).parent), *sys.path]
    codes = [WRITER.format(path=path, writer=writer, file=str(file)) for writer in (1, 2, 3)]
    with contextlib.ExitStack() as running:
        writers = [
            running.enter_context(subprocess.Popen([sys.executable, "-c", code])) for code in codes
        ]
        while any(writer.poll() is None for writer in writers):
            # A damaged file would cause a warning, and pytest turns warnings into errors here.
            EmbeddingCache(file)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    keys = [key(writer, i) for writer in (1, 2, 3) for i in range(20)]
    cache = EmbeddingCache(file)
    assert cache.missing(keys) == []
    assert np.array_equal(cache.vectors(keys), [vector(i) for i in keys])
    assert list(folders.glob(".*")) == []


def test_queries_are_cached_in_a_file_of_their_own(folders, build, monkeypatch, embedded):
    """A query must not wait until the whole cache of a suite is written."""
    monkeypatch.setattr(embedder_module, "_MOST_QUERIES", 2)
    index = build()
    # Each write makes a new file. Reading sets the time of the file, so the time says nothing.
    written = cache_file(folders).stat().st_ino
    first = [match.score for match in index.similar("an edge", 2)]
    for text in ("a node", "an edge", "two nodes"):
        index.similar(text, 1)
    assert len(embedded) == len(index.tests) + 3
    assert cache_file(folders).stat().st_ino == written
    embedded.clear()
    again = build()
    again.similar("two nodes", 1)
    again.similar("a node", 1)
    again.similar(again.tests[0].source, 1)
    assert embedded == []
    assert [match.score for match in again.similar("an edge", 2)] == first
    assert len(embedded) == 1


def test_the_least_recently_used_vectors_are_dropped_first(folders):
    keys = [key("old", i) for i in range(5)]
    for i, used in [(0, []), (1, []), (2, [0]), (3, [])]:
        cache = EmbeddingCache(folders / "cache.bin", most=3)
        cache.missing([keys[j] for j in [*used, i]])
        cache.add([keys[i]], vector(keys[i])[None])
        cache.save()
    assert EmbeddingCache(folders / "cache.bin").missing(keys) == [keys[1], keys[4]]


def test_a_suite_larger_than_the_bound_is_kept_whole(build, monkeypatch, embedded):
    monkeypatch.setattr("flashwasm.qe.scoring.embedding_cache._MOST_VECTORS", 3)
    build()
    embedded.clear()
    build()
    assert embedded == []
