"""hybrid: its measurements, its choices, its stored timings, and the ways to override it."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.backends.hybrid import chooser
from flashwasm.backends.hybrid.measuring import measured
from flashwasm.backends.registry import SANDBOX
from sample_arrays import assert_same_bits, normal

A = normal(400, 90)


@pytest.fixture
def taken(monkeypatch):
    """Let each call take a time that the test sets, by backend, and list the backends measured."""
    seconds, asked = {"wasm-simd": 2.0, "native": 1.0}, []

    def pretended(names, on):
        del on
        asked.append(tuple(names))
        return {name: seconds[name] for name in names if name in seconds}

    monkeypatch.setattr(chooser, "measured", pretended)
    return seconds, asked


def ran(**options):
    """Return the backends outside the sandbox that a product ran on."""
    with fw.Runtime(threads=1, **options) as rt:
        fw.matmul(A, A.T, runtime=rt)
        return rt.stats().backend_calls


def test_the_faster_backend_computes(taken):
    seconds, asked = taken
    assert ran(backend="hybrid") == {"native": 1}
    assert ran(backend="hybrid") == {"native": 1}
    assert len(asked) == 1
    assert asked[0][:2] == ("wasm-simd", "native")
    seconds["native"] = 1.9
    chooser.forget()
    assert ran(backend="hybrid") == {"native": 1}, "the file has the old timings"


@pytest.mark.parametrize(("native", "expected"), [(1.95, SANDBOX), (1.9, "native"), (3.0, SANDBOX)])
def test_the_sandbox_is_kept_unless_another_is_clearly_faster(native, expected):
    assert chooser.fastest({"wasm-simd": 2.0, "native": native}) == expected


def test_deterministic_measures_nothing(taken):
    _, asked = taken
    assert ran(backend="hybrid", deterministic=True) == {}
    assert not asked


def test_calls_of_about_the_same_size_are_of_one_kind(taken):
    _, asked = taken
    with fw.Runtime(threads=1, backend="hybrid") as rt:
        for columns in (200, 202, 210):
            fw.softmax(normal(1500, columns), runtime=rt)
        assert len(asked) == 1
        x = normal(1500, 200)
        fw.softmax(normal(1500, 300), runtime=rt)
        fw.softmax(rt.asarray(x), runtime=rt)
        fw.softmax(rt.asarray(x)[:], runtime=rt)
        fw.softmax(x[:], runtime=rt)
        fw.softmax(x, 0, runtime=rt)
        assert len(asked) == 4
    with fw.Runtime(threads=2, backend="hybrid") as rt:
        fw.softmax(x, runtime=rt)
        assert len(asked) == 5


def test_small_calls_stay_in_the_sandbox(taken):
    _, asked = taken
    small = normal(16, 16)
    with fw.Runtime(threads=1, backend="hybrid") as rt:
        fw.matmul(small, small, runtime=rt)
        fw.attention(small, small, small, runtime=rt)
        fw.softmax(small, runtime=rt)
        fw.layer_norm(small, runtime=rt)
        fw.cosine_top_k(small, small, 2, runtime=rt)
        assert rt.stats().backend_calls == {}
    assert not asked


def test_products_of_small_arrays_are_measured_only_if_they_are_copied(taken):
    _, asked = taken
    x = normal(64, 64)
    with fw.Runtime(threads=1, backend="hybrid") as rt:
        held = rt.asarray(x)
        fw.matmul(held, held, runtime=rt)
        assert not asked
        fw.matmul(x, x, runtime=rt)
        assert rt.stats().backend_calls == {"native": 1}
        fw.attention(x, x, x, runtime=rt)
    assert len(asked) == 1


def test_options_make_kinds_of_their_own(taken):
    _, asked = taken
    with fw.Runtime(threads=1, backend="hybrid") as rt:
        for options in (
            {},
            {"causal": 3},
            {"window": (4, 0)},
            {"window": (9, 0)},
            {"sinks": [1.0]},
        ):
            fw.attention(A, A, A, runtime=rt, **options)
        fw.attention(A, A, A, runtime=rt, return_lse=True)
        rows = normal(4000, 90)
        fw.layer_norm(rows, runtime=rt)
        fw.layer_norm(rows, rows[0], runtime=rt)
        for k, metric in ((3, "cosine"), (30, "cosine"), (3, "l2")):
            fw.cosine_top_k(A, A, k, metric=metric, runtime=rt)
        assert len(asked) == 11


def test_a_backend_that_cannot_do_the_call_is_left_out():
    with fw.Runtime(threads=1) as rt:
        given = {"dropout": 0.5, "seed": 3, "runtime": rt}
        found = fw.attention(A, A, A, backend="hybrid", **given)
        assert_same_bits(found, fw.attention(A, A, A, **given))
        assert rt.stats().backend_calls == {}
    assert {"wasm-simd"} in [times.keys() for times in chooser.known_timings().values()]


def test_each_round_measures_each_backend():
    calls = []

    def call(*, backend):
        calls.append(backend)

    times = measured(["wasm-simd", "native"], call)
    assert calls[:4] == ["wasm-simd", "wasm-simd", "native", "native"]
    assert times.keys() == {"wasm-simd", "native"}


def test_an_error_that_all_backends_have_is_raised():
    def fail(backend):
        raise fw.CapabilityError(backend)

    with pytest.raises(fw.CapabilityError, match="native"):
        measured(["wasm-simd", "native"], fail)


def test_wrong_operands_raise_what_they_raise_elsewhere():
    for wrong, error in (([[1.0], [1.0, 2.0]], fw.DTypeError), (normal(3, 3), fw.ShapeError)):
        with pytest.raises(error):
            fw.matmul(A, wrong, backend="hybrid")
    assert not chooser.known_timings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("native", {"native": 1}),
        ("wasm-simd", {}),
        ("softmax=wasm-simd, matmul=native", {"native": 1}),
        ("native,matmul=wasm-simd", {}),
    ],
)
def test_the_environment_overrides_the_choice(monkeypatch, taken, text, expected):
    _, asked = taken
    monkeypatch.setenv("FLASHWASM_HYBRID", text)
    assert ran(backend="hybrid") == expected
    assert not asked


@pytest.mark.parametrize("text", ["cuda", "hybrid", "matmul=", "gelu=native", "=native"])
def test_a_wrong_override_is_refused(monkeypatch, text):
    monkeypatch.setenv("FLASHWASM_HYBRID", text)
    with pytest.raises(fw.ShapeError, match="FLASHWASM_HYBRID: expected one of"):
        fw.matmul(A, A.T, backend="hybrid")


def timings_file():
    (found,) = Path(os.environ["FLASHWASM_CACHE"], "hybrid").iterdir()
    return found


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"seconds": 3}', b'{"seconds": {"a": 1}}'])
def test_a_damaged_file_is_measured_again(taken, content):
    _, asked = taken
    ran(backend="hybrid")
    timings_file().write_bytes(content)
    chooser.forget()
    assert ran(backend="hybrid") == {"native": 1}
    assert len(asked) == 2
    assert len(json.loads(timings_file().read_bytes())["seconds"]) == 1


@pytest.mark.usefixtures("taken")
def test_other_processes_keep_their_timings():
    ran(backend="hybrid")
    document = json.loads(timings_file().read_bytes())
    document["seconds"]["measured elsewhere"] = {"native": 1.0}
    timings_file().write_text(json.dumps(document))
    fw.matmul(A, A[0], backend="hybrid")
    chooser.forget()
    assert "measured elsewhere" in chooser.known_timings()
    assert len(chooser.known_timings()) == 3


@pytest.mark.usefixtures("taken")
def test_a_folder_that_cannot_be_written_costs_only_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "file"))
    chooser.forget()
    assert ran(backend="hybrid") == {"native": 1}
    assert ran(backend="hybrid") == {"native": 1}


def test_threads_that_ask_at_once_measure_once(taken):
    _, asked = taken
    callers = [threading.Thread(target=ran, kwargs={"backend": "hybrid"}) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(asked) == 1


def test_results_are_right_whatever_is_chosen():
    found = fw.matmul(A, A.T, backend="hybrid")
    np.testing.assert_allclose(found, fw.matmul(A, A.T), rtol=1e-4, atol=1e-4)
