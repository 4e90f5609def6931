"""`python -m bench backends`: each case on each backend, and the verdict on hybrid."""

import json

import pytest
from click.testing import CliRunner

from bench import backends
from bench.backends import BackendTimes, report
from bench.commands import main
from flashwasm.backends.hybrid import chooser, measuring


def times(hybrid, native=1.0, sandbox=2.0):
    seconds = {"wasm-simd": sandbox, "native": native, "hybrid": hybrid}
    return BackendTimes("softmax", seconds, noise=1.03)


@pytest.mark.parametrize(
    ("found", "met", "verdict"),
    [
        ([times(1.1)] * 9 + [times(1.9)], True, "in 9 of 10 cases, and takes 0.95 of the sandbox"),
        ([times(1.1)] * 8 + [times(1.9)] * 2, False, "in 8 of 10 cases"),
        ([times(1.0)] * 9 + [times(2.2)], False, "takes 1.10 of the sandbox's time at most"),
    ],
)
def test_the_verdict(found, met, verdict):
    made = report(found)
    assert made.met is met
    assert verdict in made.verdict
    assert "differ by a factor of 1.03 at most" in made.verdict
    assert made.verdict in made.markdown
    assert made.document["cases"][0]["seconds"]["native"] == 1.0


def test_the_command_measures_every_case(monkeypatch, tmp_path):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    monkeypatch.setattr(measuring, "_SECONDS", 0.0)
    monkeypatch.setattr(backends, "ATTENTION", backends.ATTENTION[:1])
    monkeypatch.setattr(backends, "OTHERS", [c for c in backends.OTHERS if c[1][0][0] < 100][:3])
    chooser.forget()
    done = CliRunner().invoke(main, ["backends", "--quick", "--json", "-"])
    chooser.forget()
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert len(document["cases"]) == 8
    assert all({"wasm-simd", "native", "hybrid"} <= c["seconds"].keys() for c in document["cases"])
    assert all(c["noise"] >= 1 for c in document["cases"])
    assert document["met"] in {True, False}
