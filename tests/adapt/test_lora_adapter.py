"""The output of `LoRAAdapter`, its arguments, and the use of linear memory."""

import contextlib

import numpy as np
import pytest

import flashwasm as fw
from adapter_updates import trained, trained_by_all_losses
from changing_thread import SlowLaunch, changing
from flashwasm.oracles import bounds, reference
from flashwasm.storage.file_reading import read_container
from sample_arrays import FLOAT_TYPES, assert_same_bits, layouts, normal

# Rows, in_dim, out_dim and rank: below, at and above the lengths that the kernel works on at once.
SIZES = [(1, 1, 1, 1), (3, 5, 5, 2), (7, 16, 16, 4), (5, 17, 17, 3), (4, 33, 20, 5), (2, 6, 41, 64)]


@pytest.mark.parametrize(("rows", "in_dim", "out_dim", "rank"), SIZES)
def test_apply_is_the_formula(runtime, rows, in_dim, out_dim, rank):
    adapter = trained(in_dim, out_dim, rank=rank, alpha=3.0, learning_rate=0.1, runtime=runtime)
    x, a, b = normal(rows, in_dim), adapter.a, adapter.b
    assert np.abs(b).max() > 0
    assert (a.shape, b.shape) == ((rank, in_dim), (out_dim, rank))
    expected = reference.lora_apply(x, a, b, 3.0 / rank)
    bound = bounds.lora_apply(x, a, b, 3.0 / rank)
    bounds.assert_close(adapter.apply(x), expected, bound)
    assert_same_bits(adapter.apply(x[0]), adapter.apply(x)[0])
    assert_same_bits(adapter.apply(x[None, :, None])[0, :, 0], adapter.apply(x))


def test_a_new_adapter_changes_nothing(runtime):
    x = normal(9, 24)
    assert_same_bits(fw.LoRAAdapter(24, 24, runtime=runtime).apply(x), x)
    # If the dimensions differ, x is not added.
    assert not fw.LoRAAdapter(24, 10, runtime=runtime).apply(x).any()


def test_apply_takes_all_layouts_and_types(one_thread):
    adapter = trained(24, 24, runtime=one_thread)
    x = normal(6, 24)
    expected = adapter.apply(x)
    for name, array in layouts(x):
        assert_same_bits(adapter.apply(array), expected), name
    for kind in FLOAT_TYPES:
        narrow = x.astype(kind)
        assert_same_bits(adapter.apply(narrow), adapter.apply(narrow.astype(np.float32)))
    out = one_thread.empty((6, 24))
    assert adapter.apply(x, out=out) is out
    assert_same_bits(out, expected)
    resident = one_thread.asarray(x)
    assert one_thread.holds(adapter.apply(resident))
    assert_same_bits(adapter.apply(resident, out=resident), expected)
    assert adapter.apply(np.empty((0, 24))).shape == (0, 24)


def test_threads_change_no_bit(threaded_runtime, one_thread):
    found, expected = (
        trained(64, 64, rank=8, runtime=rt).apply(normal(3000, 64))
        for rt in (threaded_runtime, one_thread)
    )
    assert_same_bits(found, expected)


def test_vectors_that_do_not_fit_are_adapted_in_parts(one_thread):
    x = normal(3000, 64)
    with fw.Runtime(threads=1, max_memory=3 << 19) as rt:
        found = trained(64, 64, rank=8, runtime=rt).apply(x)
    assert_same_bits(found, trained(64, 64, rank=8, runtime=one_thread).apply(x))


def test_all_parts_are_adapted_by_the_same_weights(monkeypatch):
    monkeypatch.setattr("flashwasm.adapt.adapter.Launch", SlowLaunch)
    with fw.Runtime(threads=1, max_memory=3 << 19) as rt:
        adapter = trained(64, 64, rank=8, runtime=rt)
        x, target = normal(2, 64)
        with changing(lambda: adapter.update(x, target)):
            adapted = [adapter.apply(np.broadcast_to(x, (3000, 64))) for _ in range(5)]
        for rows in adapted:
            assert_same_bits(rows, np.broadcast_to(rows[0], rows.shape).copy())


def test_every_nan_becomes_the_same_nan(runtime):
    adapter = trained(8, 8, runtime=runtime)
    x = normal(3, 8)
    x[1].view(np.uint32)[3] = 0xFFC12345
    found = adapter.apply(x).view(np.uint32)
    assert (found[1] == 0x7FC00000).all()
    assert np.isfinite(found[[0, 2]].view(np.float32)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 5},
        {"alpha": 2.0},
        {"learning_rate": 0.02},
        {"optimizer": "sgd"},
        {"weight_decay": 0.3},
        {"ewc_lambda": 90.0},
        {"ewc_samples": 2},
        {"seed": 5},
    ],
    ids=str,
)
def test_every_argument_has_an_effect(one_thread, options):
    plain = {"rank": 3, "learning_rate": 0.01, "ewc_lambda": 2.0, "ewc_samples": 4, "seed": 4}

    def result(**options):
        adapter = fw.LoRAAdapter(9, 9, runtime=one_thread, **plain | options)
        for i in range(20):
            adapter.update(normal(9, seed=i), normal(9, seed=40 + i))
            if i == 10:
                adapter.consolidate()
        return adapter.apply(normal(3, 9))

    assert np.abs(result() - result(**options)).max() > 1e-6


BAD = [
    (lambda a: a.update(normal(5), normal(6)), "x: expected shape (6,), got (5,)"),
    (lambda a: a.update(normal(1, 6), normal(6)), "x: expected shape (6,), got (1, 6)"),
    (lambda a: a.update(normal(6), normal(5)), "target: expected shape (6,), got (5,)"),
    (lambda a: a.update(normal(6), np.float32(3)), "target: expected shape (6,), got ()"),
    (lambda a: a.update(np.arange(6), normal(6)), "x: expected float32"),
    (lambda a: a.update("six", normal(6)), "x: expected float32"),
    (lambda a: a.update(normal(6), normal(6), reward=-1), "reward: expected a number from 0 to"),
    (lambda a: a.update(normal(6), normal(6), reward=np.nan), "reward: expected a finite number"),
    (lambda a: a.update(normal(6), normal(6), reward="1"), "reward: expected a number"),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(6)),
        "negatives: expected shape (n, 6), got (6,)",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(0, 6)),
        "negatives: expected 1 to 1023, got 0",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(1024, 6)),
        "negatives: expected 1 to 1023, got 1024",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(7), normal(2, 6)),
        "positive: expected shape (6,), got (7,)",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(2, 6), temperature=0),
        "temperature: expected a number from",
    ),
    (
        lambda a: a.update_contrastive(normal(6), normal(6), normal(2, 6), metric="l2"),
        "metric: expected one of 'cosine', 'dot', got 'l2'",
    ),
    (
        lambda a: a.update_feedback(normal(6), normal(6), accepted=1),
        "accepted: expected True or False",
    ),
    (
        lambda a: a.update_feedback(normal(6), normal(6), accepted=True, threshold=np.inf),
        "threshold: expected a finite number",
    ),
    (lambda a: a.apply(normal(4, 5)), "x: expected shape (..., 6), got (4, 5)"),
    (lambda a: a.apply(np.float32(1)), "x: expected at least 1 axis, got shape ()"),
    (lambda a: a.apply(normal(6), out=np.empty(5, np.float32)), "out: expected shape (6,)"),
    (lambda a: a.consolidate(), "ewc_lambda: expected more than 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_input_is_named(one_thread, call, message):
    adapter = trained(6, 6, runtime=one_thread)
    before = adapter.apply(np.eye(6, dtype=np.float32))
    with pytest.raises((fw.ShapeError, fw.DTypeError)) as caught:
        call(adapter)
    assert str(caught.value).startswith(message)
    assert adapter.updates == 3
    assert_same_bits(adapter.apply(np.eye(6, dtype=np.float32)), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_dim": 0}, "in_dim: expected at least 1"),
        ({"in_dim": 4097}, "in_dim: expected at most 4096"),
        ({"out_dim": 2.5}, "out_dim: expected an integer"),
        ({"rank": 65}, "rank: expected at most 64"),
        ({"rank": True}, "rank: expected an integer"),
        ({"alpha": 0}, "alpha: expected a number from"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number from"),
        ({"learning_rate": 1e300}, "learning_rate: expected a number from"),
        ({"optimizer": "lbfgs"}, "optimizer: expected one of 'adam', 'sgd'"),
        ({"weight_decay": -0.1}, "weight_decay: expected a number from 0"),
        ({"ewc_lambda": np.inf}, "ewc_lambda: expected a finite number"),
        ({"ewc_samples": 0}, "ewc_samples: expected at least 1"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"seed": 1.5}, "seed: expected an integer"),
        ({"runtime": 3}, "runtime: expected a flashwasm.Runtime"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError)) as caught:
        fw.LoRAAdapter(**{"in_dim": 6, "out_dim": 6} | arguments)
    assert str(caught.value).startswith(message)


def test_the_largest_sizes(one_thread):
    adapter = fw.LoRAAdapter(4096, 4096, rank=64, ewc_lambda=1.0, ewc_samples=1, runtime=one_thread)
    x, near, far = normal(4096), normal(4096, seed=1), normal(1023, 4096, seed=2)
    for _ in range(2):
        loss = adapter.update_contrastive(x, near, far, adapt_candidates=True, temperature=1.0)
    assert 0 < loss < 10
    assert adapter.nbytes > 3 * 64 * 8192 * 4


def test_a_closed_runtime_is_named(tmp_path):
    rt = fw.Runtime(threads=1)
    adapter = trained(6, 6, ewc_lambda=1.0, runtime=rt)
    adapter.save(tmp_path / "adapter")
    rt.close()
    for call in (
        lambda: adapter.update(normal(6), normal(6)),
        lambda: adapter.update_contrastive(normal(6), normal(6), normal(30, 6)),
        lambda: adapter.update_feedback(normal(6), normal(6), accepted=True),
        lambda: adapter.apply(normal(6)),
        adapter.consolidate,
        lambda: fw.LoRAAdapter(6, 6, runtime=rt),
        lambda: fw.LoRAAdapter.load(tmp_path / "adapter", runtime=rt),
    ):
        with pytest.raises(fw.ClosedError):
            call()


def test_a_timeout_of_the_runtime_holds(tmp_path):
    with fw.Runtime(threads=1, timeout=1e-9) as rt:
        with pytest.raises(fw.DeadlineExceeded):
            fw.LoRAAdapter(6, 6, runtime=rt).apply(normal(6))
        rt.timeout = 10.0
        adapter = trained(6, 6, ewc_lambda=1.0, runtime=rt)
        with pytest.raises(fw.DeadlineExceeded):
            adapter.consolidate(timeout=1e-9)
        adapter.consolidate()
        adapter.save(tmp_path / "adapter")
    assert "fisher" in read_container(tmp_path / "adapter", "lora-adapter").sections


def test_a_sample_too_large_for_memory_changes_nothing():
    for kept in (1, 60):
        with fw.Runtime(threads=1, max_memory=3 << 20) as rt:
            one, other = (
                trained(64, 64, ewc_lambda=1.0, ewc_samples=kept, runtime=rt) for _ in range(2)
            )
            filler = []
            with contextlib.suppress(fw.OutOfMemoryError):
                while True:
                    filler.append(rt.empty(4096))
            with pytest.raises(fw.OutOfMemoryError):
                one.update_contrastive(normal(64), normal(64), normal(1000, 64))
            del filler
            for adapter in (one, other):
                adapter.update_contrastive(normal(64), normal(64), normal(7, 64))
            assert_same_bits(one.apply(normal(9, 64)), other.apply(normal(9, 64)))


def test_memory_goes_back():
    with fw.Runtime(threads=1) as rt:
        before = rt.stats().bytes_in_use
        adapter = trained_by_all_losses(rt)
        used = rt.stats().bytes_in_use - before
        assert adapter.nbytes <= used <= adapter.nbytes + 20 * 64
        del adapter
        assert rt.stats().bytes_in_use == before
