"""The one-line summary of each public object."""

from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
import tiny_bert
from coverage_data import index_of
from failures import failure
from flashwasm import qe
from flashwasm.qe.functions.function_collection import collect_functions
from flashwasm.summaries import are, counted, number_of
from small_suite import FILES

ROWS = np.eye(3, 4, dtype=np.float32)


@pytest.fixture
def rt():
    with fw.Runtime(threads=2, variant="simd128") as runtime:
        yield runtime


def test_a_runtime_shows_its_memory_and_whether_it_is_closed(rt):
    assert repr(rt) == "Runtime(variant='simd128', threads=2, bytes_in_use=0)"
    held = rt.empty((1000, 1000))
    assert repr(rt) == f"Runtime(variant='simd128', threads=2, bytes_in_use={held.nbytes:,})"
    rt.close()
    assert repr(rt).endswith(", closed)")


def flat(rt):
    index = fw.FlatIndex(4, metric="l2", runtime=rt)
    index.add(ROWS)
    return index


def graph(rt):
    index = fw.HNSWIndex(4, dtype="int8", m=8, runtime=rt)
    index.add(np.tile(ROWS, (500, 1)))
    return index


def cache(rt):
    made = fw.KVCache(2, 4, 1000, dv=3, dtype="int8", runtime=rt)
    made.append(np.ones((2, 5, 4)), np.ones((2, 5, 3)))
    return made


def adapter(rt):
    made = fw.LoRAAdapter(4, 2, rank=1, runtime=rt)
    made.update(ROWS[0], [1.0, 0.0])
    return made


def encoder(rt):
    pytest.importorskip("tokenizers")
    tiny_bert.write(Path("tiny"))
    return fw.SentenceEncoder.load("tiny", runtime=rt)


IN_A_RUNTIME = [
    (flat, "FlatIndex(dim=4, metric='l2', dtype='float32', vectors=3)"),
    (
        graph,
        "HNSWIndex(dim=4, metric='cosine', dtype='int8', m=8, ef_construction=200, vectors=1,500)",
    ),
    (cache, "KVCache(5 of 1,000 keys, heads=2, dim=4, dv=3, batch=1, dtype='int8')"),
    (adapter, "LoRAAdapter(in_dim=4, out_dim=2, rank=1, updates=1)"),
    (encoder, "SentenceEncoder('tiny', dim=32, precision='float32')"),
]


@pytest.mark.parametrize(
    ("make", "shown"), IN_A_RUNTIME, ids=[row[0].__name__ for row in IN_A_RUNTIME]
)
def test_what_lies_in_a_runtime_shows_what_it_holds(make, shown, rt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = make(rt)
    assert repr(made) == shown
    rt.close()
    assert repr(made) == f"{shown[:-1]}, closed)"


def test_a_sharded_index_shows_its_shards():
    with fw.ShardedIndex("flat", 4, shard_size=2, threads=1) as index:
        index.add(ROWS)
        shown = "ShardedIndex('flat', dim=4, metric='cosine', dtype='float32', shards=2, vectors=3"
        assert repr(index) == f"{shown})"
    assert repr(index) == f"{shown}, closed)"


def test_whitening_shows_its_settings():
    assert repr(fw.Whitening.fit(ROWS)) == "Whitening(dim=4, shrinkage=0.1, power=1.0)"


def test_a_workload_shows_its_name_and_strategy():
    with qe.create_qe_flash_attention("coverage-analysis") as workload:
        shown = "QEFlashAttention('coverage-analysis', strategy='memory-efficient'"
        assert repr(workload) == f"{shown})"
    assert repr(workload) == f"{shown}, closed)"


def test_indexes_of_programs_show_what_they_hold(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (tmp_path / "graph.py").write_text("def add_edge(a, b):\n    return (a, b)\n", "utf-8")
    suite = qe.collect(tmp_path)
    assert repr(suite) == f"Suite({str(tmp_path)!r}, 9 tests, 0 skipped)"
    index = qe.SuiteIndex.build(tmp_path, scorers=["characters", "identifiers"])
    assert repr(index) == "SuiteIndex(9 tests, scorers: characters, identifiers)"
    functions = qe.FunctionIndex.lexical(*collect_functions(tmp_path), [], cache=False)
    assert repr(functions) == "FunctionIndex(1 function, scorers: identifiers)"


def test_coverage_and_failures_show_what_they_hold(tmp_path, monkeypatch):
    index = index_of({"a.py::test_1": {"lib.py": {1, 2}}, "a.py::test_2": {"lib.py": {1}}})
    assert repr(index) == "CoverageIndex(2 tests, 2 files)"
    monkeypatch.chdir(tmp_path)
    library = qe.FailureLibrary("known.db", create=True)
    assert repr(library) == "FailureLibrary('known.db', 0 defects, 0 failures)"
    library.learn("bad numbers", [failure(), failure(message="worse")])
    assert repr(library) == "FailureLibrary('known.db', 1 defect, 2 failures)"


def test_a_test_and_a_failure_do_not_show_their_whole_text():
    test = qe.CollectedTest("t.py::test_a", "t.py", 1, "def test_a(): pass")
    assert repr(test) == "CollectedTest(nodeid='t.py::test_a', path='t.py', line=1, also=())"
    assert failure().text not in repr(failure())
    assert "text=" not in repr(failure())


def test_counted():
    assert counted(1, "tests") == "1 test"
    assert counted(0, "tests") == "0 tests"
    assert counted(1504, "tests") == "1,504 tests"
    assert [counted(n, "queries") for n in (1, 2)] == ["1 query", "2 queries"]
    assert counted(1, "axes") == "1 axis"
    assert [number_of(n, "rows") for n in (1, 1504)] == ["1 row", "1504 rows"]
    assert [are(n) for n in (0, 1, 2)] == ["are", "is", "are"]
