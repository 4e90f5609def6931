"""`SuiteIndex.similar` and the cache of embeddings, with a random tiny model."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from flashwasm.qe import SuiteIndex
from flashwasm.qe.scoring import embeddings
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.qe.scoring.preparation import prepare

GRAPH = """
class TestGraph:
    def test_add_edge(self): assert graph.add_edge(1, 2)
    def test_add_node(self): assert graph.add_node(1)
    def test_remove(self): assert graph.remove_node(1)
"""
FILES = {
    "test_graph.py": GRAPH,
    "sub/test_graph.py": GRAPH.replace("edge", "weighted_edge").replace("graph.", "network."),
    "sub/test_path.py": "import pytest\n@pytest.mark.parametrize('x', [1, 2])\n"
    "def test_path(x): assert path_length(x) == weight\n",
    "test_same.py": "def test_one(): assert node\ndef test_two(): assert graph\n",
}


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep every test away from the user's folders; return where it may work."""
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
    """Return a list of the texts that the model is given from now on."""
    texts = []
    encode = fw.SentenceEncoder.encode

    def record(self, sources, **options):
        texts.extend(sources)
        return encode(self, sources, **options)

    monkeypatch.setattr(fw.SentenceEncoder, "encode", record)
    return texts


def cache_file(folders):
    (path,) = (folders / "cache" / "embeddings").iterdir()
    return path


# Ranking.


def whitened(rows):
    """Return the map that the package's `whitened` describes, in float64 by the SVD."""
    n, dim = rows.shape
    centre = rows.mean(axis=0)
    _, deviations, directions = np.linalg.svd(rows - centre)
    variance = np.zeros(dim)
    variance[: len(deviations)] = deviations**2 / n
    trust = n / (n + dim)
    variance = trust * variance + (1 - trust) * variance.mean()

    def transform(row):
        mapped = (row - centre) @ directions.T / variance**0.25
        return mapped / np.linalg.norm(mapped)

    return transform


def assert_ranked(index, matches, query, model, left_out=()):
    """Scores are z-scores of the cosines of the whitened embeddings, the highest ones first."""
    encoder = fw.SentenceEncoder.load(model)
    texts = [prepare(text) for text in [query, *(t.source for t in index.tests)]]
    asked, *rows = encoder.encode(texts).astype(np.float64)
    transform = whitened(np.array(rows))
    of = {
        t.nodeid: transform(row) @ transform(asked)
        for t, row in zip(index.tests, rows, strict=True)
    }
    others = [cosine for nodeid, cosine in of.items() if nodeid not in left_out]
    z = {nodeid: (c - np.mean(others)) / np.std(others) for nodeid, c in of.items()}
    scores = [match.score for match in matches]
    # The smallest of nine variances in 32 dimensions is far below the largest: float32 shows.
    assert np.abs(np.subtract(scores, [z[m.nodeid] for m in matches])).max() <= 1e-3
    assert all(abs(m.components["meaning"] - of[m.nodeid]) <= 1e-4 for m in matches)
    best = sorted((c for i, c in z.items() if i not in left_out), reverse=True)[: len(scores)]
    assert np.abs(np.subtract(scores, best)).max() <= 1e-3
    assert scores == sorted(scores, reverse=True)
    assert len({match.nodeid for match in matches}) == len(matches)
    assert all(match.test.nodeid == match.nodeid for match in matches)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_free_text(build, model, k):
    index = build()
    matches = index.similar("remove the edge of a graph", k)
    assert len(matches) == min(k, 9)
    assert_ranked(index, matches, "remove the edge of a graph", model)


@pytest.mark.parametrize("k", [1, 3, 100])
@pytest.mark.parametrize(
    "query",
    [
        "suite/sub/test_graph.py::TestGraph::test_add_edge",
        "elsewhere/suite/sub/test_graph.py::TestGraph::test_add_edge",
        "sub/test_graph.py::TestGraph::test_add_edge",
        "sub/test_graph.py::TestGraph::test_add_edge[1-2]",
        "test_add_weighted_edge",
        "TestGraph::test_add_weighted_edge",
    ],
)
def test_a_test_is_not_similar_to_itself(build, suite, model, query, k):
    if "weighted" not in query:
        (suite / "sub" / "test_graph.py").write_text(GRAPH)
    index = build()
    own = next(t for t in index.tests if t.nodeid.startswith("suite/sub/") and "edge" in t.nodeid)
    matches = index.similar(query, k)
    assert len(matches) == min(k, 8)
    assert own.nodeid not in [match.nodeid for match in matches]
    assert_ranked(index, matches, own.source, model, left_out=[own.nodeid])


def test_a_test_that_has_copies_is_left_out_all_the_same(build, suite):
    source = "".join(f"class Test{i}:\n    def test_x(self): assert edge\n" for i in range(9))
    (suite / "test_copies.py").write_text(source)
    index = build(suite / "test_copies.py")
    (match,) = index.similar("Test7::test_x", 1)
    assert match.nodeid != "suite/test_copies.py::Test7::test_x"
    assert match.nodeid == "suite/test_copies.py::Test0::test_x"


def test_an_inherited_test_is_asked_about_by_any_of_its_names(build, suite):
    source = "class TestA:\n    def test_x(self): ...\n    def test_y(self): ...\n"
    (suite / "test_child.py").write_text(source + "class TestB(TestA): ...\n")
    index = build(suite / "test_child.py")
    names = [[match.nodeid for match in index.similar(f"{c}::test_x")] for c in ("TestA", "TestB")]
    assert names == [["suite/test_child.py::TestA::test_y"]] * 2


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "test_add_node",
            r"2 node ids: suite/test_g.*::test_add_node, suite/sub/.*node;",
        ),
        ("TestGraph::test_remove", "2 node ids"),
        ("test_graph.py::TestGraph::test_no", "has the form of a node id, but no test has it"),
        ("no.py::", "has the form of a node id"),
        ("", "query is empty"),
        (" \n", "query is empty"),
    ],
)
def test_queries_that_name_no_one_test(build, query, message):
    with pytest.raises(fw.ShapeError, match=message):
        build().similar(query)


def test_candidates_are_named_up_to_ten(build, suite):
    source = "".join(f"class Test{i}:\n    def test_x(self): ...\n" for i in range(12))
    (suite / "test_many.py").write_text(source)
    with pytest.raises(fw.ShapeError, match=r"12 node ids: (\S+::test_x, ){10}\.\.\.; give more"):
        build(suite / "test_many.py").similar("test_x")


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_k_must_be_positive(build, k):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match="k"):
        build().similar("graph", k)


def test_text_with_colons_is_text(build):
    assert len(build().similar("what std::sort does to a graph", 2)) == 2


def test_an_empty_suite(build, folders, monkeypatch):
    monkeypatch.setattr(fw.SentenceEncoder, "load", None)  # No model is needed for it.
    (folders / "empty").mkdir()
    index = build(folders / "empty")
    assert (index.tests, index.similar("anything"), index.similar("a::b")) == ([], [], [])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_add(self): return 1", "test add"),
        ("parseHTTPRequest", "parse http request"),
        ("assertEqual(x, self.assertEqual)", "assert equal"),
        ("Füße_zählen", "füße zählen"),
        ("1 + 2", "1 + 2"),
    ],
)
def test_preparation(source, words):
    # A keyword is left out wherever it stands: "assert" is one.
    assert prepare(source) == words.replace("assert ", "")


# The cache of embeddings.


def test_the_second_run_loads_no_model(build, folders, monkeypatch):
    first = build().similar("test_one")
    with monkeypatch.context() as later:
        later.setattr(fw.SentenceEncoder, "load", None)
        assert build().similar("test_one") == first
    build().similar("a text")
    written = cache_file(folders).stat().st_mtime_ns
    monkeypatch.setattr(fw.SentenceEncoder, "load", None)
    assert len(build().similar("a text")) == 9
    assert cache_file(folders).stat().st_mtime_ns == written


def test_only_what_changed_is_embedded_again(build, suite, embedded):
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
    """Write another model's cache, whole, but with vectors of another length."""
    other = EmbeddingCache(folders / "other")
    other.add([b"k" * 32], np.ones((1, 7), np.float32))
    other.save()
    return (folders / "other").read_bytes()


DAMAGES = {
    "empty": (lambda *_: b"", "not a cache of embeddings"),
    "no header": (lambda content, _: content[:20], "not a cache of embeddings"),
    "truncated": (lambda content, _: content[:-1], "truncated"),
    "longer": (lambda content, _: content + b"x", "truncated"),
    "one bit": (lambda content, _: content[:-1] + bytes([content[-1] ^ 1]), "was changed"),
    "another format": (lambda content, _: b"PK\3\4" + content, "not a cache of embeddings"),
    "another model's": (lambda _, folders: foreign(folders), None),
}


@pytest.mark.parametrize(("damage", "warning"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_made_anew(build, folders, embedded, damage, warning):
    expected = build().similar("test_one")
    path = cache_file(folders)
    path.write_bytes(damage(path.read_bytes(), folders))
    embedded.clear()
    if warning:
        with pytest.warns(RuntimeWarning, match=f"ignoring the cache .*{warning}"):
            assert build().similar("test_one") == expected
    else:
        assert build().similar("test_one") == expected
    assert len(embedded) == 9
    embedded.clear()
    assert build().similar("test_one") == expected
    assert embedded == []


@pytest.mark.parametrize("obstacle", ["a file", "a folder in the file's place"])
def test_a_cache_that_cannot_be_written_is_a_warning(build, folders, monkeypatch, obstacle):
    """Permissions would not hinder root, whom tests may run as; a file in the way does."""
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


def test_an_interrupted_run_leaves_its_work(build, monkeypatch, embedded):
    monkeypatch.setattr(embeddings, "_TEXTS_AT_ONCE", 2)
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


def test_a_run_that_is_killed_leaves_what_it_embedded(build, embedded, monkeypatch):
    monkeypatch.setattr(embeddings, "_TEXTS_AT_ONCE", 2)
    # As often as texts come: nothing but a write at once survives SIGKILL.
    monkeypatch.setattr(embeddings, "_BETWEEN_SAVES", 0)
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


def test_another_build_of_the_kernels_embeds_anew(build, embedded, monkeypatch):
    build()
    embedded.clear()
    monkeypatch.setattr(embeddings, "module_sha256", lambda variant: f"another {variant}")
    build()
    assert len(embedded) == 9


def test_progress_counts_what_the_cache_lacks(model, monkeypatch):
    monkeypatch.setattr(embeddings, "_TEXTS_AT_ONCE", 2)
    embedder = embeddings.Embedder(model)
    calls = []
    embedder.embed(list("abcde"), progress=lambda *counts: calls.append(counts))
    embedder.embed(list("abcdef"), progress=lambda *counts: calls.append(counts))
    embedder.embed(list("abc"), progress=lambda *counts: calls.append(counts))
    assert calls == [(0, 5), (2, 5), (4, 5), (5, 5), (0, 1), (1, 1)]


def key(writer, i):
    return hashlib.sha256(f"{writer}:{i}".encode()).digest()


def vector(key):
    return np.frombuffer(key, np.uint8)[:8].astype(np.float32)


# Saves 20 times, each time one vector more, as a run does that is interrupted that often.
WRITER = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from test_similar import key, vector
keys = [key({writer}, i) for i in range(20)]
cache = EmbeddingCache(Path({file!r}))
cache.missing(keys)
for i in keys:
    cache.add([i], vector(i)[None])
    cache.save()
"""


def test_processes_that_write_one_file_leave_it_whole(folders):
    file = folders / "shared.bin"
    path = [str(Path(__file__).parent), *sys.path]
    codes = [WRITER.format(path=path, writer=writer, file=str(file)) for writer in (1, 2)]
    writers = [subprocess.Popen([sys.executable, "-c", code]) for code in codes]
    while any(writer.poll() is None for writer in writers):
        EmbeddingCache(file)  # Damage would be a warning, and a warning is an error here.
    assert [writer.returncode for writer in writers] == [0, 0]
    keys = {writer: [key(writer, i) for i in range(20)] for writer in (1, 2)}
    cache = EmbeddingCache(file)
    missing = {writer: cache.missing(keys[writer]) for writer in (1, 2)}
    # The last to save has all of its own; of the other's, what was there when it read the file.
    assert [] in missing.values()
    for writer in (1, 2):
        kept = [i for i in keys[writer] if i not in missing[writer]]
        assert np.array_equal(cache.vectors(kept), [vector(i) for i in kept])
    assert list(folders.glob(".shared*")) == []


def test_queries_are_kept_apart(folders, build, monkeypatch, embedded):
    """The cache of a suite is written as a whole, which a query must not wait for."""
    monkeypatch.setattr(embeddings, "_MOST_QUERIES", 2)
    index = build()
    written = cache_file(folders).stat().st_mtime_ns
    first = [match.score for match in index.similar("an edge", 2)]
    for text in ("a node", "an edge", "two nodes"):
        index.similar(text, 1)
    assert len(embedded) == len(index.tests) + 3
    assert cache_file(folders).stat().st_mtime_ns == written
    embedded.clear()
    again = build()
    again.similar("two nodes", 1)
    again.similar("a node", 1)
    again.similar(again.tests[0].source, 1)
    assert embedded == []
    assert [match.score for match in again.similar("an edge", 2)] == first
    assert len(embedded) == 1


def test_the_oldest_go_first(folders, monkeypatch):
    monkeypatch.setattr("flashwasm.qe.scoring.embedding_cache._MAX_ROWS", 3)
    keys = [key("old", i) for i in range(5)]
    for i, used in [(0, []), (1, []), (2, [0]), (3, [])]:
        cache = EmbeddingCache(folders / "cache.bin")
        cache.missing([keys[j] for j in [*used, i]])
        cache.add([keys[i]], vector(keys[i])[None])
        cache.save()
    assert EmbeddingCache(folders / "cache.bin").missing(keys) == [keys[1], keys[4]]


def test_a_suite_larger_than_the_bound_is_kept_whole(build, monkeypatch, embedded):
    monkeypatch.setattr("flashwasm.qe.scoring.embedding_cache._MAX_ROWS", 3)
    build()
    embedded.clear()
    build()
    assert embedded == []
