"""Measuring the indexes: vectors from a file, targets, and the picture."""

import contextlib
import hashlib
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from bench.commands import main
from bench.findings import Comparison
from bench.peers.tables import target_rows
from bench.plots import picture
from bench.search.cases import SEARCH_CASES, SearchCase, embedded, stored, unit
from bench.search.peers import PEERS, Peer
from bench.search.runner import QUICK_EFFORT, SearchResult, absent, run_search
from bench.search.targets import FLOAT32, INT8, VECTORS, judge_searches
from checkout import ROOT
from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder.installed_models import fingerprint
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.storage.atomic_files import write_atomically
from sample_arrays import normal

RECALLS = {32: 0.9, 64: 0.96, 128: 0.99}


def result(name, rate, *, recall=1.0, queries=1000, ef=0, seconds=1.0, vectors=VECTORS):
    operation = "HNSWIndex" if ef else "FlatIndex"
    return SearchResult(operation, "data", name, vectors, queries, ef, recall, rate, seconds, 1.0)


def curve(name, rate, seconds):
    return [
        result(name, rate / ef, recall=recall, ef=ef, seconds=seconds)
        for ef, recall in RECALLS.items()
    ]


def statuses(results):
    return {(v.target.subject, v.target.quantity): v for v in judge_searches(results)}


GRAPHS = [*curve(FLOAT32, 2e6, 1.0), *curve(INT8, 2e6, 1.0), *curve("hnswlib", 1e6, 1.5)]
EXACT = [
    result(name, rate, queries=queries, recall=recall)
    for queries in (1, 64)
    for name, rate, recall in (
        *((FLOAT32, 100.0, 1.0), (INT8, 200.0, 0.98)),
        *(("NumPy", 50.0, 1.0), ("faiss IndexFlatIP", 100.0, 1.0)),
    )
]


def test_graphs_are_held_against_hnswlib_where_both_find_as_much():
    found = statuses(GRAPHS)
    at_equal = {name: found[f"{name}, data, equal recall", "hnswlib"] for name in (FLOAT32, INT8)}
    assert all(v.figure == pytest.approx(2.0) for v in at_equal.values())
    assert (at_equal[FLOAT32].status, at_equal[INT8].status) == ("met", "missed")
    builds = [found[f"{name}, data, build", "hnswlib"] for name in (FLOAT32, INT8)]
    assert [v.status for v in builds] == ["met", "missed"]
    recall = found[f"{FLOAT32}, data", "recall@10"]
    assert (recall.figure, recall.status) == (0.99, "met")
    assert "0.9900" in str(target_rows([recall]))


def test_exact_searches_are_held_against_brute_force():
    found = statuses(EXACT)
    assert found[f"{FLOAT32}, 64 x data", "NumPy"].figure == 2.0
    assert found[f"{FLOAT32}, 64 x data", "NumPy"].status == "met"
    assert found[f"{FLOAT32}, 1 x data", "NumPy"].status == "missed"
    assert found[f"{INT8}, 1 x data", FLOAT32].status == "missed"
    assert found[f"{INT8}, 1 x data", f"recall@10 of {FLOAT32}"].status == "missed"


def test_what_was_not_measured_is_not_met():
    alone = [r for r in GRAPHS + EXACT if r.name.startswith("flashwasm")]
    found = statuses(alone)
    absent = found[f"{INT8}, data, equal recall", "hnswlib"]
    assert (absent.status, absent.why) == ("not measured", "no hnswlib here")
    few = judge_searches([result(FLOAT32, 1.0, vectors=1000)])
    assert {v.status for v in few} == {"not measured"}
    assert all(math.isnan(v.figure) for v in few)
    assert "1000 vectors were searched" in few[0].why


def test_exact_searches_are_held_against_libraries_in_other_processes():
    found = statuses([*EXACT, result("simsimd", 90.0, queries=64)])
    assert found[f"{FLOAT32}, 64 x data", "simsimd"].status == "met"
    assert found[f"{FLOAT32}, 64 x data", "usearch exact"].status == "not measured"
    found = statuses([*GRAPHS, *curve("hnswlib-wasm", 5e5, 3.0)])
    assert found[f"{FLOAT32}, data, equal recall", "hnswlib-wasm"].figure == pytest.approx(4)


PEER_LIST = [(operation, peer) for operation, peers in PEERS.items() for peer in peers]


@pytest.mark.parametrize(
    ("operation", "peer"), PEER_LIST, ids=[f"{kind}-{peer.name}" for kind, peer in PEER_LIST]
)
def test_every_library_finds_the_nearest(operation, peer, monkeypatch):
    if peer.absent:
        pytest.skip(f"{peer.name} is not installed")
    data = unit(normal(300, 16))
    vectors, queries = data[:260], data[260:]
    case = SearchCase(operation, "data", lambda _: (vectors, queries))
    known = (peer.name, "NumPy")
    monkeypatch.setitem(PEERS, operation, [p for p in PEERS[operation] if p.name in known])
    results = [r for r in run_search(case, 260, effort=QUICK_EFFORT) if r.name == peer.name]
    assert min(r.recall for r in results) > 0.99
    assert all(r.rate > 0 for r in results)


def test_a_library_that_fails_is_left_out(monkeypatch):
    def fail(*_):
        raise RuntimeError("no such thing")

    broken = Peer("broken", fail, ("json",))
    numpy = next(p for p in PEERS["FlatIndex"] if p.name == "NumPy")
    monkeypatch.setitem(PEERS, "FlatIndex", [broken, numpy])
    data = unit(normal(30, 8))
    case = SearchCase("FlatIndex", "data", lambda _: (data, data[:5]))
    with pytest.warns(RuntimeWarning, match="broken is left out: no such thing"):
        assert {r.name for r in run_search(case, 30, effort=QUICK_EFFORT)} == {"NumPy"}


def test_a_file_of_vectors_is_searched(tmp_path):
    np.save(tmp_path / "mine.npy", normal(700, 24))
    case = stored(tmp_path / "mine.npy")
    assert case.data == "mine.npy, 24 dimensions"
    vectors, queries = case.make(500)
    assert (vectors.shape, queries.shape) == ((560, 24), (140, 24))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    results = list(run_search(case, 500, effort=QUICK_EFFORT))
    assert {r.data for r in results} == {case.data}
    assert max(r.recall for r in results if r.name == FLOAT32) > 0.99


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (np.zeros((3, 2, 2), np.float32), ShapeError, "expected shape"),
        (np.float32(1), ShapeError, "expected shape"),
        (np.ones((3, 2), np.complex64), DTypeError, "complex64"),
        (np.eye(3, dtype=np.float32)[:2] * [[1], [0]], ShapeError, "one of zeros"),
        (np.full((2, 2), np.nan, np.float32), ShapeError, "finite"),
    ],
)
def test_files_that_cannot_be_searched_are_refused(tmp_path, content, error, message):
    np.save(tmp_path / "x.npy", content)
    with pytest.raises(error, match=message):
        stored(tmp_path / "x.npy")


def test_a_file_that_is_no_array_is_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(DTypeError, match=r"x\.npy: expected a \.npy file"):
        stored(tmp_path / "x.npy")


def test_recall_is_drawn_against_queries_a_second():
    pytest.importorskip("matplotlib")
    found = Comparison({}, searches=[*GRAPHS, *curve("NumPy", 1e3, 0.0), *EXACT])
    content = picture(found, "r.svg").decode()
    assert content.count('id="axes_') == 1
    assert "100000 vectors: data" in content
    assert content.count("hnswlib") >= 1


def test_the_command_refuses_a_file_before_it_measures(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"no array")
    command = [sys.executable, "-m", "bench", "search", "--embeddings"]
    command.append(str(tmp_path / "x.npy"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "x.npy: expected a .npy file" in done.stderr


class EncodesOnce:
    """An encoder that keeps its vectors in files, for other tests and for the next run."""

    def __init__(self, encoder, folder):
        self._encoder, self._folder = encoder, folder

    def encode(self, texts, **options):
        key = repr((fingerprint(self._encoder.folder), texts, options))
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"
        if not path.exists():
            content = io.BytesIO()
            np.save(content, self._encoder.encode(texts, **options))
            write_atomically(path, [content.getvalue()])
        return np.load(path)


@pytest.fixture(scope="module")
def encoder(real_model, kept_folder):
    return EncodesOnce(SentenceEncoder.load(real_model), kept_folder)


@pytest.fixture(scope="module")
def measured(request, tmp_path_factory):
    """Run the command once; return its JSON, its Markdown, and the names of the searched data."""
    folder = tmp_path_factory.mktemp("measured")
    data = {case.data for case in SEARCH_CASES if case.make is not embedded}
    arguments = ["search", "--quick", "--log", folder / "log", "--json", folder / "r.json"]
    arguments += ["--markdown", folder / "r.md"]
    with pytest.MonkeyPatch.context() as patch:
        # Where no model can be installed, the command leaves the embeddings out.
        with contextlib.suppress(pytest.skip.Exception):
            encoder = request.getfixturevalue("encoder")
            patch.setattr(SentenceEncoder, "load", lambda: encoder)
            data = {case.data for case in SEARCH_CASES}
        done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return json.loads((folder / "r.json").read_text()), (folder / "r.md").read_text(), data


@pytest.mark.parametrize("case", SEARCH_CASES, ids=lambda case: f"{case.operation} {case.data}")
@pytest.mark.slow
def test_indexes_find_what_they_are_measured_on(case, measured, request):
    if case.make is embedded:
        request.getfixturevalue("encoder")
    kind = (case.operation, case.data)
    results = [
        SearchResult(**row)
        for row in measured[0]["search"]
        if (row["operation"], row["data"]) == kind
    ]
    rates = {(r.name, r.queries, r.ef): r.rate for r in results}
    assert len(rates) == len(results)
    assert {"flashwasm float32", "flashwasm int8", "NumPy"} <= {r.name for r in results}
    for result in results:
        assert result.rate > 0
        assert result.recall >= (0.95 if result.ef == 0 or result.ef >= 64 else 0.85), result
        if result.name.startswith("flashwasm"):
            assert result.megabytes > 0
            assert result.build_seconds > 0


@pytest.mark.slow
def test_the_command_writes_what_it_measured_of_each_index(measured):
    document, markdown, data = measured
    assert {r["operation"] for r in document["search"]} == {"FlatIndex", "HNSWIndex"}
    assert {r["data"] for r in document["search"]} == data
    assert "results" not in document
    assert "recall@k" in markdown


def test_libraries_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "node_modules"))
    lines = absent(SEARCH_CASES)
    for package in ("faiss", "hnswlib", "hnswlib-wasm", "simsimd", "usearch"):
        assert f"{package}: not installed (make bench-peers)" in lines
