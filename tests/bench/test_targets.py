"""Targets, suites and reports: verdicts met, missed and not measured; the command around them."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from bench import suites
from bench.commands import main
from bench.findings import Comparison
from bench.machine import peak_rate, read_rate
from bench.peers import encoding
from bench.peers.node import OnnxRuntimeWeb
from bench.peers.runner import FLOAT32, OURS, Measurement, Row
from bench.peers.table import Presence
from bench.peers.tables import TARGETS as HEADINGS
from bench.peers.tables import target_rows
from bench.scaling import SCALED, Scaling, two_threads
from bench.smallest import Overheads, measure_overheads
from bench.targets import AT_512, AT_2048, AT_4096, BEYOND, ENCODER_INT8, TARGETS, judge
from checkout import ROOT
from flashwasm.benchmarks.lengths import Length, run_lengths
from flashwasm.benchmarks.timing import Effort
from flashwasm.errors import CapabilityError

PEERS = ("NumPy", "PyTorch", "ONNX Runtime", "onnxruntime-web", "tfjs")
# Seconds of the package's calls here: about a microsecond, and exact in binary.
UNIT = 2.0**-20
GOOD_SCALING = Scaling(speedup=1.9, machine=2.0)
GOOD = Overheads(smallest_call=1e-6, numpy_call=1e-6, import_=0.01, first_call=0.03)


def presence(name, missing=""):
    return Presence(name, "about", "" if missing else "1.0", 1, missing)


def row(name, seconds):
    return Row(name, seconds * UNIT, seconds * UNIT, 50.0, 1e-6, 5)


def measurements(times, *, bytes_beyond=1 << 20):
    """Return a measurement of every target's case, each contender with its time in `UNIT`."""
    names = dict.fromkeys(t.subject for t in TARGETS if any(c.isdigit() for c in t.subject))
    names |= dict.fromkeys(name.replace(", l2", ", dot") for name in names)
    rows = tuple(row(name, seconds) for name, seconds in times.items())
    return [Measurement(*name.split(" ", 1), "GFLOP/s", rows, 60e9, bytes_beyond) for name in names]


def verdicts(times, *, here=PEERS, overheads=GOOD, scaling=GOOD_SCALING, **options):
    presences = [presence(n, "" if n in here else "no such module") for n in PEERS]
    scaled = {case.name: scaling for case in SCALED}
    found = judge(measurements(times, **options), presences, overheads, scaled, 1)
    assert [v.target for v in found] == list(TARGETS)
    return {(v.target.subject, v.target.quantity): v for v in found}


ALL = {OURS: 1.0, **dict.fromkeys([*PEERS, FLOAT32], 4.0), ENCODER_INT8: 0.5}


def test_all_is_met_where_it_is():
    assert {v.status for v in verdicts(ALL).values()} == {"met"}


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.subject} {t.quantity}")
def test_each_target_can_be_missed(target):
    """A slow package, a fast peer, or a bad figure misses every one of them."""
    bad = Overheads(smallest_call=1.0, numpy_call=1.0, import_=1.0, first_call=1.0)
    presences = [presence(name) for name in PEERS]

    def slow(measurement):
        name = measurement.name
        # A search by the dot product stays fast: that by other metrics is compared with it.
        best = UNIT if name.endswith(", dot") else 100 * UNIT
        own = replace(measurement.own, best=best, rate=1.0 if name == AT_4096 else 9.0)
        return replace(measurement, rows=(own, *measurement.rows[1:]), bytes_beyond=1 << 30)

    times = {OURS: 1.0, **dict.fromkeys([*PEERS, FLOAT32], 0.1), ENCODER_INT8: 1000.0}
    scaling = {case.name: Scaling(1.5, 2.0) for case in SCALED}
    found = {
        v.target: v
        for v in judge([slow(m) for m in measurements(times)], presences, bad, scaling, 1)
    }
    assert found[target].status == "missed"


def test_a_ratio_is_to_the_better_of_the_rivals():
    found = verdicts({**ALL, "tfjs": 1.6})
    assert found[AT_512, "onnxruntime-web, tfjs"].figure == 1.6
    assert found[AT_512, "onnxruntime-web, tfjs"].status == "missed"


def test_without_a_rival_a_target_can_be_missed_but_not_met():
    key = (AT_2048, "onnxruntime-web, tfjs")
    here = [name for name in PEERS if name != "tfjs"]
    times = {name: seconds for name, seconds in ALL.items() if name != "tfjs"}
    verdict = verdicts(times, here=here)[key]
    assert (verdict.status, verdict.why) == ("not measured", "tfjs absent")
    assert verdict.figure == 4.0
    assert verdicts({**times, "onnxruntime-web": 1.0}, here=here)[key].status == "missed"


def test_a_rival_that_failed_is_none():
    times = {name: seconds for name, seconds in ALL.items() if name != "onnxruntime-web"}
    assert verdicts(times)[AT_512, "onnxruntime-web, tfjs"].status == "met"
    verdict = verdicts({OURS: 1.0})[AT_512, "PyTorch"]
    assert (verdict.status, verdict.why) == ("not measured", "no peer could run it")


def test_what_was_not_run_is_not_measured():
    found = judge([], [presence(name) for name in PEERS], None, {}, 1)
    assert {v.status for v in found} == {"not measured"}
    for cells in target_rows(found):
        assert len(cells) == len(HEADINGS)
        assert cells[-1].startswith("not measured: ")


def test_rows_have_units():
    rows = {(r[0], r[1]): r for r in target_rows(list(verdicts(ALL).values()))}
    assert rows[AT_512, "share of peak"][2:] == ("≥ 74.0%", "83.3%", "met")
    assert rows[AT_512, "over PyTorch"][2:] == ("≥ 0.55x", "4.00x", "met")
    assert rows["smallest call", "µs over NumPy's"][2:] == ("≤ 4", "1", "met")
    assert rows["attention 1x1x64", "µs a call"][2:] == ("≤ 15", "0.954", "met")
    whose = "encoder 256 texts, flashwasm int8"
    assert rows[whose, "over flashwasm"][2:] == ("≥ 1.60x", "2.00x", "met")
    search = "cosine_top_k 10 for 64 of 60000x384, l2"
    assert rows[search, "time over that of dot"][2:] == ("≤ 1.15x", "1.00x", "met")
    assert rows[AT_4096, BEYOND][2:] == ("≤ 2", "1.05", "met")


# The figures that are no case's.


@pytest.mark.slow
def test_overheads_are_measured_in_fresh_processes():
    found = measure_overheads()
    assert 0 < found.numpy_call < 1e-4
    assert 0 < found.smallest_call < 1e-3
    assert 0 < found.import_ < found.first_call < 60


def test_machine_rates_are_plausible():
    assert 1e9 < peak_rate() < 1e12
    assert 1e8 < read_rate() < 1e13


@pytest.mark.slow
def test_two_threads_are_compared_with_one():
    found = two_threads(SCALED[1])
    assert found is None or (0.3 < found.speedup < 3 and 0.3 < found.machine < 3)


def test_two_threads_on_one_free_cpu_miss_nothing():
    key = (AT_2048, "two threads over one")
    verdict = verdicts(ALL, scaling=Scaling(1.1, 1.2))[key]
    assert (verdict.status, verdict.figure) == ("not measured", 1.1)
    assert verdict.why == "the machine itself gave two threads 1.20x"
    assert verdicts(ALL, scaling=Scaling(1.7, 1.9))[key].status == "missed"
    assert verdicts(ALL, scaling=None)[key].status == "not measured"


def test_lengths_hold_both_masks_and_less_memory():
    full, causal = run_lengths([256])
    assert (full.causal, causal.causal) == (False, True)
    for found in (full, causal):
        assert found.flash_bytes < found.materialized_bytes
        assert min(found.flash, found.materialized, found.scalar, found.rate) > 0
    assert full.materialized_bytes - full.flash_bytes == 4 * 256 * 256


# The encoder.


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path))
    folder = tmp_path / "models" / "all-MiniLM-L6-v2"
    tiny_bert.write(folder)
    return folder


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("packages", "peers"),
    [
        ([], []),
        (["onnx", "onnxruntime"], ["ONNX Runtime", "ONNX Runtime int8"]),
        (["onnx", "openvino"], ["OpenVINO int8"]),
    ],
    ids=["alone", "ONNX Runtime", "OpenVINO"],
)
def test_the_encoder_is_measured_beside_the_same_weights(packages, peers, monkeypatch):
    for name in packages:
        pytest.importorskip(name)
    texts = encoding.mixed_texts
    monkeypatch.setattr(encoding, "mixed_texts", lambda: texts(24))
    names = [name.removesuffix(" int8") for name in peers]
    found = encoding.run_encoder(names, 1, Effort(seconds=0, least_rounds=1))
    assert [r.name for r in found.rows] == [OURS, f"{OURS} int8", *peers]
    assert all(r.timed for r in found.rows), found.rows
    assert all(r.error < (0.1 if "int8" in r.name else 1e-5) for r in found.rows)


@pytest.mark.usefixtures("model", "node_starts_quickly")
def test_the_encoder_is_measured_beside_onnxruntime_web(monkeypatch):
    pytest.importorskip("onnx")
    try:
        OnnxRuntimeWeb().version()
    except CapabilityError as error:
        pytest.skip(str(error))
    texts = encoding.mixed_texts
    monkeypatch.setattr(encoding, "mixed_texts", lambda: texts(24))
    found = encoding.run_encoder(["onnxruntime-web"], 1, Effort(seconds=0, least_rounds=1))
    row = found.row("onnxruntime-web")
    assert row.timed, row
    assert row.error < 1e-5


def test_wrong_codes_are_told_by_their_cosine():
    exact = np.eye(2)
    turned = np.array([[1.0, 0.1], [0.3, 1.0]]) / np.sqrt([[1.01], [1.09]])
    assert encoding.checked("x int8", exact[:1] + 1e-3, exact[:1])[1] == ""
    assert encoding.checked("x int8", turned, exact)[1] == "cosine 0.9578"
    assert encoding.checked("x", turned, exact)[1] == "error 2.9e-01"


def test_texts_are_of_mixed_length_and_always_the_same():
    texts = encoding.mixed_texts()
    lengths = sorted(len(text.split()) for text in texts)
    assert texts == encoding.mixed_texts()
    assert (len(texts), lengths[0]) == (256, 3)
    assert lengths[-1] > 150


def test_without_a_model_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path))
    with pytest.raises(CapabilityError, match="flashwasm models install"):
        encoding.run_encoder([], 1)


# The command.


@pytest.fixture
def found(monkeypatch, tmp_path):
    """Let the command report a run that is made up."""
    monkeypatch.chdir(tmp_path)
    made = Comparison({"threads": 1, "peak_flops": 6e10, "read_bytes_per_second": 2e10})
    made.presences = [presence(name) for name in PEERS] + [presence("absent", "no module")]
    made.measurements = measurements({OURS: 1.0, "NumPy": 0.5, "tfjs": math.nan})
    made.measurements = [replace(m, flops=1e9, traffic=1e7) for m in made.measurements]
    made.verdicts = judge(made.measurements, made.presences, GOOD, {}, 1)
    made.lengths = [
        Length(n, causal, 1e-3, 2e-3, math.nan, 40.0, 1 << 20, 1 << 22)
        for n in (128, 256)
        for causal in (False, True)
    ]
    made.encoder = "no model"
    monkeypatch.setattr(suites, "run", lambda *_: made)
    return made


def bench(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.mark.usefixtures("found")
def test_reports_hold_every_section(tmp_path):
    markdown, document = tmp_path / "r.md", tmp_path / "r.json"
    done = bench("peers", "--markdown", markdown, "--json", document)
    assert done.exit_code == 0, done.output
    for text in (done.stdout, markdown.read_text()):
        assert all(
            word in text for word in ("Peers", "Cases", "Targets", "missed", "make bench-peers")
        )
    assert "* peak: 60.0 GFLOP/s" in markdown.read_text()
    assert "encoder was not measured: no model" in markdown.read_text()
    content = json.loads(document.read_text())
    assert {t["status"] for t in content["targets"]} == {"met", "missed", "not measured"}
    assert len(content["lengths"]) == 4


@pytest.mark.usefixtures("found")
def test_a_miss_fails_where_asked_to():
    assert bench("peers").exit_code == 0
    assert bench("peers", "--fail-on-miss").exit_code == 1


def test_nothing_missed_is_no_failure(found):
    found.verdicts = [v for v in found.verdicts if v.status != "missed"]
    assert bench("peers", "--fail-on-miss").exit_code == 0


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_is_drawn(ending, start, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"r.{ending}"
    assert bench("all", "--plot", path).exit_code == 0
    assert path.read_bytes().startswith(start)
    if ending == "svg":
        assert path.read_text().count('id="axes_') == 4


@pytest.mark.usefixtures("found")
def test_plots_that_cannot_be_drawn_are_refused_first(tmp_path):
    refused = bench("peers", "--plot", tmp_path / "r.gif")
    assert (refused.exit_code, ".png, .svg" in refused.stderr) == (2, True)


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from bench.commands import main\n"
        "main(['peers', '--plot', 'r.png'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "make bench-peers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_peers_run_for_one_operation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = tmp_path / "r.json"
    done = bench("peers", "--op", "softmax", "--json", document)
    assert done.exit_code == 0, done.output
    content = json.loads(document.read_text())
    (measurement,) = content["measurements"]
    assert measurement["operation"] == "softmax"
    assert {r["name"] for r in measurement["rows"]} >= {OURS, "NumPy"}
    assert any(t["status"] != "not measured" for t in content["targets"])
    assert "'gelu' is not one of" in bench("peers", "--op", "gelu").stderr
