"""`Whitening`: its result against float64, its arguments, its files, and bad input."""

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.oracles import reference
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal


def corpus(rows, dim, seed=0):
    """Return vectors with a mean of 2 whose components vary by 3 down to 0.3."""
    sizes = np.geomspace(3, 0.3, dim, dtype=np.float32)
    return normal(rows, dim, seed=seed) * sizes + np.float32(2)


# The largest corpus is read in three parts, for which shrinkage and power make no difference.
@pytest.mark.parametrize(
    ("rows", "dim", "shrinkage", "power"),
    [
        (9000, 64, 0.1, 1.0),
        *(
            (rows, dim, shrinkage, power)
            for rows, dim in ((40, 1), (50, 7), (300, 33))
            for shrinkage, power in ((0.0, 1.0), (0.1, 1.0), (0.3, 0.5), (1.0, 1.0))
        ),
    ],
)
def test_fit_and_apply_are_the_formula(runtime, rows, dim, shrinkage, power):
    x = corpus(rows, dim)
    found = fw.Whitening.fit(x, shrinkage=shrinkage, power=power, runtime=runtime)
    mean, matrix = reference.whitening(x, shrinkage, power)
    assert found.dim == dim
    assert np.abs(found.mean - mean).max() <= 1e-6 * np.abs(mean).max()
    # The products are float32. Their rounding errors weigh more the smaller an eigenvalue is.
    assert np.abs(found.matrix - matrix).max() <= 2e-5 * np.abs(matrix).max()
    expected = (x.astype(np.float64) - mean) @ matrix
    assert np.abs(found.apply(x, runtime=runtime) - expected).max() < 5e-5 * np.abs(expected).max()


def test_power_goes_from_centring_to_whitening(one_thread):
    x = corpus(500, 12)
    spread = []
    for power in (0.0, 0.5, 1.0):
        white = fw.Whitening.fit(x, shrinkage=0.0, power=power, runtime=one_thread).apply(x)
        assert np.abs(white.mean(axis=0)).max() < 1e-5
        variances = np.linalg.eigvalsh(np.cov(white.T.astype(np.float64), bias=True))
        spread.append(variances[-1] / variances[0])
        if not power:
            np.testing.assert_allclose(white, x - x.mean(axis=0), atol=1e-5)
    assert spread[1] == pytest.approx(spread[0] ** 0.5, rel=1e-3)
    assert spread[2] == pytest.approx(1, abs=1e-3)


def test_whitening_shows_pairs_that_a_large_direction_hides(one_thread):
    """Vectors of a pair are alike except in one direction, in which all vectors vary most."""
    rng = np.random.default_rng(0)
    shared = 6 * rng.standard_normal((400, 1)) * np.eye(1, 16, 0)
    pairs = np.concatenate([rng.standard_normal((200, 16))] * 2)
    x = (shared + pairs + 0.2 * rng.standard_normal((400, 16)) + 5).astype(np.float32)

    def found(x):
        _, nearest = fw.cosine_top_k(x, x, 2, runtime=one_thread)
        return np.mean(nearest[:, 1] == (np.arange(400) + 200) % 400)

    assert found(fw.Whitening.fit(x, runtime=one_thread).apply(x)) > 2 * found(x)


def assert_same_fit(runtime, other):
    """Fail unless two runtimes compute the same bits."""
    x = corpus(6000, 40)
    one, same = (fw.Whitening.fit(x, runtime=rt) for rt in (runtime, other))
    assert_same_bits(one.matrix, same.matrix)
    assert_same_bits(one.apply(x, runtime=runtime), same.apply(x, runtime=other))


def test_threads_change_no_bit(threaded_runtime, one_thread):
    assert_same_fit(threaded_runtime, one_thread)


def test_a_corpus_that_does_not_fit_is_read_in_parts(one_thread):
    with fw.Runtime(threads=1, max_memory=2 << 20) as rt:
        assert_same_fit(rt, one_thread)


def test_all_layouts_and_types_are_taken(one_thread):
    x = corpus(40, 6)
    expected = fw.Whitening.fit(x, runtime=one_thread)
    for _, array in layouts(x):
        assert_same_bits(expected.apply(array), expected.apply(x))
        found = fw.Whitening.fit(array, runtime=one_thread)
        np.testing.assert_allclose(found.matrix, expected.matrix, rtol=1e-4, atol=1e-6)
    for kind in FLOAT_TYPES:
        narrow = x.astype(kind)
        found, same = (
            fw.Whitening.fit(v, runtime=one_thread) for v in (narrow, narrow.astype("f4"))
        )
        np.testing.assert_allclose(found.matrix, same.matrix, rtol=1e-4, atol=1e-6)
        assert_same_bits(found.apply(narrow), found.apply(narrow.astype(np.float32)))
    out = np.empty((2, 3, 6), np.float32)
    assert expected.apply(x[:6].reshape(2, 3, 6), out=out, runtime=one_thread) is out
    assert_same_bits(out.reshape(6, 6), expected.apply(x[:6]))
    assert expected.apply(x[0]).shape == (6,)


def test_a_corpus_may_be_a_mapped_file(one_thread, tmp_path):
    x = corpus(9000, 8)
    np.save(tmp_path / "corpus.npy", x)
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    assert_same_bits(
        fw.Whitening.fit(mapped, runtime=one_thread).matrix,
        fw.Whitening.fit(x, runtime=one_thread).matrix,
    )


def test_a_map_is_read_as_it_was_saved(one_thread, tmp_path):
    found = fw.Whitening.fit(corpus(50, 7), shrinkage=0.25, power=0.5, runtime=one_thread)
    found.save(tmp_path / "white")
    read = fw.Whitening.load(tmp_path / "white")
    assert repr(read) == repr(found) == "Whitening(dim=7, shrinkage=0.25, power=0.5)"
    assert_same_bits(read.apply(normal(5, 7)), found.apply(normal(5, 7)))
    assert_same_bits(read.matrix, found.matrix)


def test_changed_files_are_refused(one_thread, tmp_path):
    fw.Whitening.fit(corpus(50, 3), runtime=one_thread).save(tmp_path / "white")
    content = (tmp_path / "white").read_bytes()
    for i in range(0, len(content), 7):
        (tmp_path / "damaged").write_bytes(content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :])
        with pytest.raises(fw.CorruptFileError):
            fw.Whitening.load(tmp_path / "damaged")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("power", 1.5),
        ("shrinkage", "1"),
        ("mean", np.zeros(4, np.float32)),
        ("mean", np.zeros((3, 1), np.float32)),
        ("matrix", np.zeros((3, 3), np.int32)),
        ("mean", np.zeros(0, np.float32)),
    ],
    ids=str,
)
def test_files_that_no_whitening_wrote_are_refused(one_thread, tmp_path, name, value):
    fw.Whitening.fit(corpus(50, 3), runtime=one_thread).save(tmp_path / "white")
    container = read_container(tmp_path / "white", "whitening")
    fields = container.parameters if name in container.parameters else container.sections
    for edit in (lambda: fields.update({name: value}), lambda: fields.pop(name)):
        edit()
        write_container(tmp_path / "white", container)
        with pytest.raises(fw.CorruptFileError, match="does not contain a whitening"):
            fw.Whitening.load(tmp_path / "white")


@pytest.mark.parametrize(
    ("vectors", "options", "message"),
    [
        (normal(5), {}, "vectors: expected 2 axes"),
        (normal(1, 5), {}, "vectors: expected shape (n, dim), n at least 2"),
        (normal(9, 0), {}, "vectors: expected shape (n, dim)"),
        (np.arange(6).reshape(2, 3), {}, "vectors: expected float32"),
        (np.full((4, 3), np.nan, np.float32), {}, "vectors: expected finite"),
        (normal(9, 3) * np.float32(1e25), {}, "vectors: expected finite"),
        (normal(9, 3), {"shrinkage": 1.1}, "shrinkage: expected a number from 0 to 1"),
        (normal(9, 3), {"shrinkage": None}, "shrinkage: expected a number"),
        (normal(9, 3), {"power": -0.5}, "power: expected a number from 0 to 1"),
        (normal(4, 9), {"shrinkage": 0.0}, "shrinkage: expected enough"),
        (np.ones((9, 3), np.float32), {}, "shrinkage: expected enough"),
        (normal(9, 3), {"runtime": "here"}, "runtime: expected"),
    ],
    ids=str,
)
def test_bad_input_is_named(vectors, options, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError)) as caught:
        fw.Whitening.fit(vectors, **options)
    assert str(caught.value).startswith(message)


def test_vectors_of_another_length_are_refused(one_thread):
    white = fw.Whitening.fit(corpus(50, 3), runtime=one_thread)
    with pytest.raises(fw.ShapeError, match=r"x: expected shape \(\.\.\., 3\), got \(2, 4\)"):
        white.apply(normal(2, 4))
    with pytest.raises(fw.ShapeError, match="out"):
        white.apply(normal(2, 3), out=np.empty((3, 3), np.float32))


def test_a_closed_runtime_and_a_timeout():
    rt = fw.Runtime(threads=1)
    white = fw.Whitening.fit(corpus(50, 3), runtime=rt)
    with pytest.raises(fw.DeadlineExceeded):
        fw.Whitening.fit(corpus(50, 3), runtime=rt, timeout=1e-9)
    with pytest.raises(fw.DeadlineExceeded):
        white.apply(normal(2, 3), runtime=rt, timeout=1e-9)
    rt.close()
    with pytest.raises(fw.ClosedError):
        fw.Whitening.fit(corpus(50, 3), runtime=rt)
    with pytest.raises(fw.ClosedError):
        white.apply(normal(2, 3), runtime=rt)
