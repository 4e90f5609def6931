"""``flashwasm probe``: capabilities, backends, and the timings that hybrid uses."""

import json
from dataclasses import fields

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
from flashwasm.backends.hybrid import chooser, measuring
from flashwasm.backends.registry import BACKENDS
from flashwasm.cli import main

NAMES = [field.name for field in fields(fw.Capabilities)]


@pytest.fixture(autouse=True)
def own_timings(tmp_path, monkeypatch):
    """Keep the timings of hybrid in a folder of the test, and measure each call in two rounds."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    chooser.forget()
    yield
    chooser.forget()


def probe(*options):
    result = CliRunner().invoke(main, ["probe", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(*options):
    return [line.split("\t") for line in probe(*options).splitlines()]


def test_probe():
    document = json.loads(probe("--json"))
    assert list(document) == [*NAMES, "backends", "timings"]
    assert document["supported"] is True
    assert document["measured_speedup"] is None
    assert document["timings"] is None
    assert [b["name"] for b in document["backends"]] == [*BACKENDS]
    shown = rows()
    assert [name for name, _ in shown] == NAMES + [f"backend {name}" for name in BACKENDS]
    assert ["supported", "yes"] in shown


def test_probe_says_what_computes(monkeypatch):
    shown = dict(rows())
    assert shown["backend wasm-simd"].startswith("wasmtime ")
    assert shown["backend native"].startswith(f"NumPy {np.__version__} with ")
    assert shown["backend hybrid"].startswith("chooses by the timings of 0 kinds of calls, in ")
    monkeypatch.setenv("FLASHWASM_HYBRID", "native")
    assert ["backend hybrid", "FLASHWASM_HYBRID=native chooses"] in rows()


def test_probe_says_what_is_missing(monkeypatch):
    def fail(name):
        raise fw.CapabilityError(f"no {name} here")

    monkeypatch.setattr("flashwasm.backends.report.backend_named", fail)
    assert ["backend native", "no: no native here"] in rows()
    native = json.loads(probe("--json"))["backends"][1]
    assert native == {"name": "native", "available": False, "description": "no native here"}


def test_probe_shows_the_timings_that_hybrid_chooses_by():
    document = json.loads(probe("--json", "--measure"))
    timings = document["timings"]
    (hybrid,) = (b for b in document["backends"] if b["name"] == "hybrid")
    assert f"the timings of {len(timings)} kinds of calls" in hybrid["description"]
    operations = {kind.split()[0] for kind in timings}
    assert operations == {"attention", "matmul", "softmax", "layer_norm", "cosine_top_k"}
    assert all(times.keys() >= {"wasm-simd", "native"} for times in timings.values())
    shown = {row[0]: row[1:] for row in rows("--measure") if len(row) == 3}
    assert shown.keys() == timings.keys()
    for name, times in shown.values():
        assert name in BACKENDS
        assert "wasm-simd " in times
