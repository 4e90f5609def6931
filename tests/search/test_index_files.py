"""Files of indexes: a saved index is read back unchanged, and a damaged file is refused."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from sample_arrays import assert_same_bits, normal

CLASSES = {"flat-index": fw.FlatIndex, "hnsw-index": fw.HNSWIndex}
# Number of mutations of files to try. FLASHWASM_MUTATIONS=100000 in the environment tries more.
MUTATIONS = int(os.environ.get("FLASHWASM_MUTATIONS", "3000"))


def example(kind, runtime, *, ids=None, dtype="float32", metric="cosine"):
    """Return an index of 60 vectors."""
    options = {"m": 3} if kind == "hnsw-index" else {}
    index = CLASSES[kind](7, dtype=dtype, metric=metric, runtime=runtime, **options)
    index.add(normal(60, 7), ids=ids)
    return index


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("kind", CLASSES)
def test_an_index_comes_back(runtime, tmp_path, kind, metric, dtype):
    path, q = tmp_path / "index", normal(5, 7, seed=1)
    for ids in (None, np.arange(60) * -3, [f"test/ü {i}" for i in range(60)]):
        index = example(kind, runtime, ids=ids, dtype=dtype, metric=metric)
        index.remove(index.ids[[3, 50]])
        index.save(path)
        read = CLASSES[kind].load(path, runtime=runtime)
        assert (read.dim, read.metric, read.dtype, len(read)) == (7, metric, dtype, 58)
        assert read.ids.tolist() == index.ids.tolist()
        for one, other in zip(read.search(q, 60), index.search(q, 60), strict=True):
            assert one.tolist() == other.tolist()
        if kind == "hnsw-index":
            found, expected = (i.search(q, 4, 5, exact=False) for i in (read, index))
            assert_same_bits(found[0], expected[0])
        names = ["a", "b", "c", "d"] if isinstance(ids, list) else None
        for one in (read, index):
            one.add(normal(4, 7, seed=2), ids=names)
        index.save(tmp_path / "one")
        read.save(tmp_path / "other")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("ids", [None, [f"test {i}" for i in range(60)]])
def test_an_index_whose_vectors_were_all_removed_comes_back(runtime, tmp_path, kind, ids):
    index = example(kind, runtime, ids=ids)
    index.remove(index.ids)
    index.save(tmp_path / "index")
    read = CLASSES[kind].load(tmp_path / "index", runtime=runtime)
    assert len(read) == 0
    assert read.search(normal(1, 7), 2)[1].tolist() == index.search(normal(1, 7), 2)[1].tolist()
    for one in (index, read):
        one.add(normal(3, 7), ids=ids and ids[:3])
    assert read.ids.tolist() == index.ids.tolist()


@pytest.mark.parametrize("kind", CLASSES)
def test_an_empty_index_comes_back(runtime, tmp_path, kind):
    CLASSES[kind](3, runtime=runtime).save(tmp_path / "index")
    read = CLASSES[kind].load(tmp_path / "index", runtime=runtime)
    assert len(read) == 0
    read.add(normal(2, 3))
    emptied = example(kind, runtime)
    emptied.remove(emptied.ids)
    emptied.save(tmp_path / "index")
    read = CLASSES[kind].load(tmp_path / "index", runtime=runtime)
    read.add(normal(1, 7))
    assert read.ids.tolist() == [60]


@pytest.mark.parametrize("kind", CLASSES)
def test_mutations_of_a_file_are_refused(one_thread, tmp_path, kind):
    path = tmp_path / "index"
    example(kind, one_thread, ids=[f"id {i}" for i in range(60)], dtype="int8").save(path)
    content = path.read_bytes()
    generator = random.Random(0)  # noqa: S311 - a seeded generator, so that a failure repeats.
    damaged_path = tmp_path / "damaged"
    for _ in range(MUTATIONS // 2):
        damaged_path.write_bytes(mutated(content, generator))
        if damaged_path.read_bytes() == content:
            continue
        with pytest.raises(fw.CorruptFileError):
            CLASSES[kind].load(damaged_path, runtime=one_thread)


def mutated(content, generator):
    """Return the file with some of its bytes changed, removed, repeated or inserted."""
    damaged = bytearray(content)
    for _ in range(generator.choice([1, 1, 1, 2, 5, 50])):
        at = generator.randrange(len(damaged)) if damaged else 0
        size = generator.choice([1, 1, 2, 4, 8, 64, 500])
        match generator.randrange(6):
            case 0:
                damaged[at : at + 1] = bytes([generator.randrange(256)])
            case 1:
                damaged[at : at + size] = generator.randbytes(len(damaged[at : at + size]))
            case 2:
                del damaged[at : at + size]
            case 3:
                damaged[at:at] = generator.randbytes(size)
            case 4:
                damaged[at : at + size] = bytes(len(damaged[at : at + size]))
            case 5:
                other = generator.randrange(len(damaged) + 1)
                damaged[at : at + size] = damaged[other : other + size]
    return bytes(damaged)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_other_kind_is_refused(one_thread, tmp_path, kind):
    example(kind, one_thread).save(tmp_path / "index")
    (other,) = CLASSES.keys() - {kind}
    with pytest.raises(fw.CorruptFileError, match=f"contains a {kind}, not a {other}"):
        CLASSES[other].load(tmp_path / "index", runtime=one_thread)


def changed(name, change):
    """Return a function that changes one section of a container."""

    def apply(whole):
        array = whole.sections[name].copy()
        return replace(whole, sections=whole.sections | {name: change(array)})

    return apply


def put(at, value):
    """Return a function that changes one element of an array."""

    def change(array):
        array[at] = value
        return array

    return change


def parameter(name, value):
    """Return a function that changes one parameter of a container."""
    return lambda whole: replace(whole, parameters=whole.parameters | {name: value})


def without(name):
    """Return a function that removes one section of a container."""
    return lambda whole: replace(
        whole, sections={key: x for key, x in whole.sections.items() if key != name}
    )


BOTH = {
    "dim of another length": parameter("dim", 8),
    "dim beyond the limit": parameter("dim", 10**9),
    "dim no integer": parameter("dim", "7"),
    "next id too low": parameter("next_id", 3),
    "a metric of its own": lambda whole: replace(whole, metric="hamming"),
    "a dtype of its own": lambda whole: replace(whole, dtype="int4"),
    "no vectors": without("vectors"),
    "NaN": changed("vectors", put((5, 2), np.nan)),
    "infinity": changed("vectors", put((5, 2), -np.inf)),
    "vectors of another type": changed("vectors", lambda x: x.view(np.uint32)),
    "vectors of another shape": changed("vectors", lambda x: x.reshape(-1)),
    "ids that are equal": changed("ids", put(3, 7)),
    "fewer ids": changed("ids", lambda x: x[1:]),
}
GRAPH = {
    "a link out of the graph": changed("links", put((5, 0), 60)),
    "a link far out of the graph": changed("links", put((5, 0), 2**32 - 1)),
    "a gap in a list": changed("links", put((5, 0), 5)),
    "an upper link out of the graph": changed("upper_links", put((0, 0), 60)),
    "an upper link to a lower node": changed("upper_links", lambda x: x * 0 + 1),
    "a link to a removed node": changed("live", put(7, 0)),
    "a node neither there nor removed": changed("live", put(7, 2)),
    "fewer nodes": changed("live", lambda x: x[1:]),
    "fewer links": changed("links", lambda x: x[:, 1:]),
    "fewer lists": changed("upper_links", lambda x: x[1:]),
    "another seed": parameter("seed", 1234),
    "another m": parameter("m", 4),
    "m beyond the limit": parameter("m", 10**6),
    "ef beyond the limit": parameter("ef_construction", 10**6),
    "an entry out of the graph": parameter("entry", 60),
    "no entry": parameter("entry", 2**32 - 1),
    "an entry that is not the highest": parameter("entry", 1),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("flat-index", name) for name in BOTH), *(("hnsw-index", name) for name in BOTH | GRAPH)],
)
def test_contents_that_contradict_themselves_are_refused(one_thread, tmp_path, kind, name):
    """A file with right checksums is checked too: its numbers may lead a kernel anywhere."""
    path = tmp_path / "index"
    example(kind, one_thread).save(path)
    write_container(path, (BOTH | GRAPH)[name](read_container(path, kind)))
    with pytest.raises(fw.CorruptFileError, match="contradicts itself"):
        CLASSES[kind].load(path, runtime=one_thread)


@pytest.mark.parametrize(
    "change",
    [
        changed("id_ends", put(3, -1)),
        changed("id_ends", put(3, 2**40)),
        changed("id_ends", put(-1, 5)),
        changed("id_text", put(0, 255)),
        changed("id_text", lambda x: x[:-1]),
    ],
)
def test_ids_that_contradict_themselves_are_refused(one_thread, tmp_path, change):
    path = tmp_path / "index"
    example("flat-index", one_thread, ids=[f"id {i}" for i in range(60)]).save(path)
    write_container(path, change(read_container(path, "flat-index")))
    with pytest.raises(fw.CorruptFileError, match="contradicts itself"):
        fw.FlatIndex.load(path, runtime=one_thread)
