"""Rows of the files of vectors, suites, coverage and adapters."""

from functools import cache
from pathlib import Path

import numpy as np

import flashwasm as fw
from file_writer import MOST, Writer, if_there, runtime
from flashwasm.qe import AdaptationStore
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.coverage_file import read_coverage_file, write_coverage_file
from flashwasm.qe.functions.function_collection import FunctionSource
from flashwasm.qe.functions.function_index import FunctionIndex
from flashwasm.qe.similarity.stored_scorers import SuiteScorerData
from flashwasm.qe.similarity.suite_index_file import read_suite, write_suite
from flashwasm.qe.suites.suite import Suite

DIM = 32
VECTORS = 400
FORMAT = "storage/file_writing.py"


@cache
def vectors(count):
    return np.random.default_rng(0).standard_normal((count, DIM)).astype(np.float32)


def index_writer(name, modules, make, load, ids_of):
    """Return the row of an index: vectors that never change, and one with the number as its id."""
    # The index of this process, and the number in it.
    held = {}

    def write(folder, number):
        if not held:
            held["index"] = make()
            held["index"].add(vectors(VECTORS), ids=np.arange(VECTORS) + MOST)
        if "number" in held:
            held["index"].remove([held["number"]])
        held["index"].add(vectors(1), ids=[number])
        held["number"] = number
        held["index"].save(folder / "index")

    def read(path):
        index = load(path)
        ids = sorted(ids_of(index))
        assert ids[1:] == list(range(MOST, MOST + VECTORS))
        return ids[0]

    return Writer(name, (*modules, FORMAT), write, if_there("index", read))


def sharded_ids(index):
    found = index.search(vectors(1), VECTORS + 1)[1].reshape(-1).tolist()
    index.close()
    return found


def write_suite_index(folder, number):
    suite = Suite(Path(f"/{number}"), [], [], Path("x" * 9000))
    write_suite(folder / "suite", suite, ["structure"], SuiteScorerData())


def read_suite_index(path):
    suite, _, _ = read_suite(path)
    return int(suite.root.name)


def write_functions(folder, number):
    source = FunctionSource(f"f{number}", Path("x.py"), 1, f"def f{number}(): pass")
    FunctionIndex.lexical([source], [], [], cache=False).save(folder / "functions")


def read_functions(path):
    return int(FunctionIndex.load(path).functions[0].name[1:])


def write_coverage(folder, number):
    lines = {(0, 0): np.arange(1, 2000, dtype=np.int64)}
    write_coverage_file(folder / "coverage", CoverageData([f"{number}.py"], ["test"], lines))


def read_coverage(path):
    return int(read_coverage_file(path).files[0].removesuffix(".py"))


def whitening(number):
    return fw.Whitening(np.full(DIM, number, np.float32), np.eye(DIM, dtype=np.float32), 0.0, 0.5)


def write_adaptation(folder, number):
    store = AdaptationStore("suite", folder / "store")
    adaptation = Adaptation(whitening(number), fw.LoRAAdapter(DIM, DIM, runtime=runtime()))
    store.activate(store.add(adaptation, "model", {"number": number}))


def read_adaptations(folder):
    store = AdaptationStore("suite", folder / "store")
    # The stack of activated versions is private, but only it shows a lost activation.
    active = set(store._stack())  # noqa: SLF001
    versions = store.history()
    for version in versions:
        assert store.load(version, runtime()).whitening.mean[0] == version.verdict["number"]
    assert active <= {version.number for version in versions}
    return {version.verdict["number"] for version in versions if version.number in active}


INDEX_WRITERS = (
    index_writer(
        "flat index",
        ("search/index.py",),
        lambda: fw.FlatIndex(DIM, runtime=runtime()),
        lambda path: fw.FlatIndex.load(path, runtime=runtime()),
        lambda index: index.ids.tolist(),
    ),
    index_writer(
        "HNSW index",
        ("search/index.py",),
        lambda: fw.HNSWIndex(DIM, runtime=runtime()),
        lambda path: fw.HNSWIndex.load(path, runtime=runtime()),
        lambda index: index.ids.tolist(),
    ),
    index_writer(
        "sharded index",
        ("search/sharded/shard_files.py",),
        lambda: fw.ShardedIndex("flat", DIM, shard_size=150, threads=1),
        lambda path: fw.ShardedIndex.load(path, threads=1),
        sharded_ids,
    ),
    Writer(
        "index of a suite",
        ("qe/similarity/suite_index_file.py", FORMAT),
        write_suite_index,
        if_there("suite", read_suite_index),
    ),
    Writer(
        "index of functions",
        ("qe/functions/function_index_file.py", FORMAT),
        write_functions,
        if_there("functions", read_functions),
    ),
    Writer(
        "coverage file",
        ("qe/coverage/coverage_file.py", FORMAT),
        write_coverage,
        if_there("coverage", read_coverage),
    ),
    Writer(
        "whitening",
        ("adapt/whitening.py", FORMAT),
        lambda folder, number: whitening(number).save(folder / "whitening"),
        if_there("whitening", lambda path: int(fw.Whitening.load(path).mean[0])),
    ),
    Writer(
        "LoRA adapter",
        ("adapt/adapter_file.py", FORMAT),
        lambda folder, number: fw.LoRAAdapter(DIM, DIM, seed=number, runtime=runtime()).save(
            folder / "adapter"
        ),
        if_there("adapter", lambda path: fw.LoRAAdapter.load(path, runtime=runtime()).seed),
    ),
    Writer(
        "adaptations of a suite",
        ("qe/adaptation/adaptation_store.py", FORMAT),
        write_adaptation,
        read_adaptations,
        grows=True,
    ),
)
