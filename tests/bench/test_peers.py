"""Peers: each installed one computes the case; absent, wrong and failing ones are named."""

from dataclasses import replace

import numpy as np
import pytest

from bench.node_process import NodeError, modules_folder, node_program
from bench.peers import node, onnx_models
from bench.peers.cases import PEER_CASES
from bench.peers.in_process import NumPy, NumPyByHeads, PyTorch
from bench.peers.node import OnnxRuntimeWeb, RuVector, TensorFlowJs
from bench.peers.onnx_runtime import OnnxRuntime
from bench.peers.openvino import OpenVino
from bench.peers.peer import Contender, Peer
from bench.peers.runner import COPIES, FLOAT32, OURS, run_peers
from bench.peers.table import PEERS, presences
from bench.peers.tables import PEERS as PEER_HEADINGS
from bench.peers.tables import case_rows, peer_rows
from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.elementwise import embedding_case, vecadd_case
from flashwasm.benchmarks.cases.products import matmul_case, matmul_i8_case
from flashwasm.benchmarks.cases.rows import layer_norm_case, softmax_case
from flashwasm.benchmarks.expectation import Expectation, WrongResultError
from flashwasm.benchmarks.timing import Effort
from flashwasm.errors import CapabilityError

BRIEF = Effort(seconds=0.0, least_rounds=2, least_measurement=1e-4)
SMALL = [
    matmul_case(5, 7, 9),
    attention_case(2, 16, 8),
    attention_case(2, 16, 8, causal=True),
    attention_case(1, 80, 8, causal=True),
    softmax_case(3, 10),
    layer_norm_case(4, 12),
    vecadd_case(33),
    embedding_case(5, 11, 6),
    matmul_i8_case(5, 24, 9),
]

needs_node = pytest.mark.skipif(node_program() is None, reason="no node")


def case_id(case):
    return case.name.replace(" ", "_")


def available(peer):
    try:
        peer.version()
    except CapabilityError as error:
        pytest.skip(str(error))
    return peer


def check(peer, case):
    """Compare a peer with the oracle, and time it; return its contender's note."""
    inputs = case.make(np.random.default_rng(3))
    expected = Expectation.of(case, inputs)
    contender = peer.prepare(case, inputs, 1)
    try:
        assert expected.error(contender.result()) <= expected.largest_bound
        assert contender.seconds(2) > 0
    finally:
        contender.close()
    return contender.note


@pytest.mark.parametrize(
    ("peer", "case"),
    [
        *((peer, case) for peer in (NumPy(), OnnxRuntime()) for case in SMALL),
        *((PyTorch(), case) for case in SMALL[:-1]),
    ],
    ids=case_id,
)
def test_peers_of_this_process_compute_the_case(peer, case):
    check(available(peer), case)


def test_openvino_is_for_products_of_codes():
    peer = OpenVino()
    assert check(available(peer), SMALL[-1]) == "calibrated: one scale for all rows"
    assert peer.prepare(SMALL[0], (), 1) is None


def test_peers_without_products_of_codes_take_no_part():
    assert PyTorch().prepare(SMALL[-1], (), 1) is None
    assert TensorFlowJs().prepare(SMALL[-1], (), 1) is None


def test_numpy_by_heads_is_for_attention():
    peer = NumPyByHeads()
    check(peer, SMALL[1])
    check(peer, SMALL[2])
    assert peer.prepare(SMALL[0], (), 1) is None


@needs_node
@pytest.mark.usefixtures("node_starts_quickly")
@pytest.mark.parametrize("peer", [OnnxRuntimeWeb(), TensorFlowJs()], ids=case_id)
@pytest.mark.parametrize("case", SMALL[:-1], ids=case_id)
def test_node_peers_compute_the_case(peer, case):
    check(available(peer), case)


@needs_node
@pytest.mark.slow
def test_onnxruntime_web_computes_products_of_codes():
    """Start Node as a benchmark does, so that V8 first compiles the whole library."""
    assert check(available(OnnxRuntimeWeb()), SMALL[-1]).startswith("DynamicQuantizeLinear")


@needs_node
def test_the_native_addon_takes_full_attention_only():
    check(available(RuVector()), SMALL[1])
    for case in (*SMALL[2:], attention_case(12, 1024, 8)):
        assert RuVector().prepare(case, case.make(np.random.default_rng(0)), 1) is None


@needs_node
@pytest.mark.usefixtures("node_starts_quickly")
def test_the_next_form_runs_if_the_fused_operator_fails(monkeypatch):
    peer = available(OnnxRuntimeWeb())

    def broken(case, inputs):
        (fused, _), decomposed = onnx_models.models(case, inputs)
        return [(fused, b"no model"), decomposed]

    monkeypatch.setattr(node, "models", broken)
    assert check(peer, SMALL[2]) == "MatMul, Softmax, MatMul"


@needs_node
def test_an_error_in_node_is_passed_on(tmp_path, monkeypatch):
    inputs = SMALL[0].make(np.random.default_rng(0))
    with pytest.raises(NodeError, match="makers"):
        available(TensorFlowJs()).prepare(replace(SMALL[0], operation="nothing"), inputs, 1)
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "node_modules"))
    with pytest.raises(NodeError, match="Cannot find module"):
        TensorFlowJs().prepare(SMALL[0], inputs, 1)


@needs_node
def test_a_process_that_ends_is_reported():
    peer = available(TensorFlowJs())
    contender = peer.prepare(SMALL[0], SMALL[0].make(np.random.default_rng(0)), 1)
    contender.close()
    with pytest.raises((NodeError, ValueError)):
        contender.seconds(1)


def test_a_folder_that_node_would_not_look_into_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "modules"))
    with pytest.raises(CapabilityError, match="expected a folder named node_modules"):
        modules_folder()


def test_absent_peers_are_named_with_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("FLASHWASM_NODE_MODULES", str(tmp_path / "node_modules"))
    found = presences(PEERS, 1)
    rows = dict(zip((p.name for p in PEERS), peer_rows(found), strict=True))
    assert len(rows["tfjs"]) == len(PEER_HEADINGS)
    assert "make bench-peers" in rows["tfjs"][1]
    assert rows["NumPy"][1] == np.__version__
    assert {p.name for p in found if p.missing} >= {"tfjs", "@ruvector/attention"}
    (measurement,) = run_peers([SMALL[4]], [NumPy()], effort=BRIEF)
    names = {row[1]: row for row in case_rows([measurement], found)}
    assert names["tfjs"][-1] == "absent"
    assert "@ruvector/attention" not in names
    assert set(names) >= {OURS, COPIES, "NumPy"}


def test_versions_and_threads_are_stated():
    found = {p.name: p for p in presences(PEERS, 4)}
    assert found["NumPy"].version == np.__version__
    assert [found[name].threads for name in ("NumPy", "tfjs")] == [4, 1]
    assert all(bool(p.version) != bool(p.missing) for p in found.values())


class Wrong(Peer):
    """A peer whose results are off, or that fails."""

    name, about = "wrong", "nothing"

    def __init__(self, off):
        self.off = off

    def version(self):
        return "1"

    def prepare(self, case, inputs, threads):
        del threads
        if self.off is None:
            raise NodeError("it broke\nhere")
        return Contender(lambda: case.baseline(*inputs) + np.float32(self.off), lambda _: 1 / 0)


@pytest.mark.parametrize(
    ("off", "note"),
    [
        (1e-2, "wrong"),
        (np.nan, "wrong"),
        (None, "failed: it broke here"),
        (0.0, "failed: division by zero"),
    ],
)
def test_a_peer_that_is_wrong_or_fails_is_not_timed(off, note):
    (measurement,) = run_peers([SMALL[6]], [Wrong(off)], effort=BRIEF)
    row = measurement.row("wrong")
    assert row.note.startswith(note)
    assert not row.timed
    assert any(note in cells[-1] for cells in case_rows([measurement], []))


def test_a_wrong_result_of_the_package_ends_the_run():
    case = replace(SMALL[6], run=lambda *x, **_: x[0])
    with pytest.raises(WrongResultError, match="vecadd 33, flashwasm"):
        list(run_peers([case], [], effort=BRIEF))


def test_a_measurement_has_what_it_says():
    (measurement,) = run_peers([SMALL[0]], [NumPy()], effort=BRIEF)
    row = measurement.row(OURS)
    assert 0 < row.best <= row.median
    assert row.rate == pytest.approx(SMALL[0].work / row.best / 1e9)
    assert 0 < measurement.share_of_peak(row) < 1
    assert measurement.traffic == 4 * (5 * 7 + 7 * 9 + 5 * 9)
    assert measurement.bytes_beyond > 1 << 20  # The workspace, at least.


def test_a_product_of_codes_is_measured_beside_the_product_of_floats():
    (measurement,) = run_peers([SMALL[-1]], [], effort=BRIEF)
    row = measurement.row(FLOAT32)
    assert row.timed
    assert row.error < measurement.own.error


@pytest.mark.parametrize("case", PEER_CASES, ids=case_id)
def test_every_case_has_a_form_for_every_peer(case):
    """Small stand-ins were computed above; here, that none is missing among the real ones."""
    assert case.operation in {small.operation for small in SMALL}
