"""`QEFlashAttention`: its settings, metrics and `dispose`, and the benchmarks."""

import dataclasses
from typing import get_args

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import qe
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.benchmarks.timing import Effort
from flashwasm.qe.workloads import benchmark_operations as workload_operations
from flashwasm.qe.workloads import benchmarks as workload_benchmarks
from flashwasm.qe.workloads import chunked_attention, strategies
from flashwasm.qe.workloads.backend import OperationName

rng = np.random.default_rng(0)
SETTINGS = [f.name for f in dataclasses.fields(qe.FlashAttentionConfig)]
BLOCKS = [f.name for f in dataclasses.fields(qe.BlockConfig)]
# Rounding of a float32 sum of at most 300 products of standard normal numbers in another order.
TOLERANCE = 1e-5
BRIEF = Effort.of_rounds(2)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


Q, K, V = normal(2, 4, 70, 16), normal(2, 2, 90, 16), normal(2, 2, 90, 24)


class Calls(list):
    """Names and first operands' shapes of the operations that ran, and the runtimes they ran on."""

    def __init__(self):
        super().__init__()
        self.runtimes = set()

    def recording(self, name, function):
        def record(*arguments, **options):
            self.append((name, np.shape(arguments[0])))
            self.runtimes.add(options.get("runtime"))
            return function(*arguments, **options)

        return record


@pytest.fixture
def called(monkeypatch):
    calls = Calls()
    for name in ("attention", "matmul", "softmax", "merge_attention"):
        recording = calls.recording(name, getattr(chunked_attention, name))
        monkeypatch.setattr(chunked_attention, name, recording)
    return calls


# Tables.


def test_tables_equal_those_of_the_specification():
    assert set(qe.WORKLOADS) == set(qe.QE_PERFORMANCE_TARGETS) == set(qe.QE_SONA_CONFIG)
    config = qe.QE_FLASH_ATTENTION_CONFIG["defect-matching"]
    assert config.blocks == qe.BlockConfig(12, 256, 256, 64)
    assert (config.strategy, config.target_speedup) == ("latency-optimized", (2.49, 7.47))
    assert qe.QE_PERFORMANCE_TARGETS["coverage-analysis"] == (100, 1, 100, 30)
    assert qe.QE_SONA_CONFIG["code-embedding"] == (True, 2, 0.03, 5000)
    with pytest.raises(TypeError):
        qe.QE_SONA_CONFIG["x"] = None


@pytest.mark.parametrize(
    ("length", "preset"), [(1, 128), (128, 128), (129, 256), (2000, 2048), (9999, 4096)]
)
def test_the_preset_is_the_smallest_that_is_long_enough(length, preset):
    assert qe.get_optimal_block_config(length) == qe.BLOCK_SIZE_PRESETS[preset]


def test_overrides_merge():
    plain = qe.get_qe_flash_attention_config("code-embedding")
    config = qe.get_qe_flash_attention_config(
        "code-embedding", {"blocks": {"kv_chunk_size": 8}, "target_speedup": {"min": 1, "max": 2}}
    )
    assert config.blocks == dataclasses.replace(plain.blocks, kv_chunk_size=8)
    assert config.target_speedup == (1, 2)
    assert dataclasses.replace(config, blocks=plain.blocks, target_speedup=(2.49, 7.47)) == plain
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.backend = "gpu"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"block": {}}, "no field 'block'; expected backend, strategy, blocks"),
        ({"blocks": {"kv": 1}}, "blocks: no field 'kv'; expected heads_per_block"),
        ({"blocks": 512}, "blocks: expected a mapping"),
        ({"blocks": {"kv_chunk_size": 0}}, "blocks.kv_chunk_size: expected at least 1"),
        ({"blocks": {"kv_chunk_size": 1.5}}, "blocks.kv_chunk_size: expected an integer"),
        ({"backend": "cuda"}, "backend: expected one of"),
        ({"strategy": "fast"}, "strategy: expected one of"),
        ({"dropout_rate": 1.0}, "dropout_rate: expected 0 <= rate < 1"),
        ({"dropout_rate": "x"}, "dropout_rate: expected a number"),
        ({"use_causal_mask": 1}, "use_causal_mask: expected True or False"),
        ({"target_speedup": 2}, "target_speedup: expected"),
        ({"target_speedup": (3, 2)}, "0 < min <= max"),
        ("blocks", "(overrides|updates): expected a mapping"),
    ],
)
def test_settings_that_are_refused(make, overrides, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        qe.get_qe_flash_attention_config("test-similarity", overrides)
    attention = make()
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        attention.update_config(overrides)
    assert attention.get_config() == qe.get_qe_flash_attention_config("test-similarity")


def test_an_unknown_workload_is_refused():
    for call in (
        qe.get_qe_flash_attention_config,
        qe.create_qe_flash_attention,
        qe.benchmark_workload,
    ):
        with pytest.raises(fw.ShapeError, match="expected one of 'test-similarity'"):
            call("tests")


# Every setting changes the operations that run, or raises an error.


def pieces(make, called, **sizes):
    """Return the operations that run with some block sizes, while the others cut nothing."""
    whole = dict.fromkeys(BLOCKS, 1000)
    attention = make(blocks={**whole, **sizes})
    called.clear()
    attention.compute_flash_attention(Q, K, V)
    flash = called.copy()
    called.clear()
    attention.compute_baseline_attention(Q, K, V)
    return flash, called.copy()


def show_backend(make, called):
    del called
    attention = make(backend="native")
    attention.compute_flash_attention(Q, K, V)
    assert attention.get_metrics().backend_calls == {"native": 1}
    attention.update_config({"backend": "wasm-simd"})
    attention.reset_metrics()
    attention.compute_flash_attention(Q, K, V)
    assert attention.get_metrics().backend_calls == {}
    with pytest.raises(fw.CapabilityError, match="dropout_rate: the backend 'native' has no drop"):
        attention.update_config({"backend": "native", "dropout_rate": 0.5})
    assert attention.get_config().backend == "wasm-simd"


def show_strategy(make, called):
    peaks, calls = {}, {}
    for name in ("latency-optimized", "memory-efficient", "throughput-optimized"):
        called.clear()
        called.runtimes.clear()
        attention = make(strategy=name, blocks={"heads_per_block": 2, "query_chunk_size": 16})
        attention.compute_flash_attention(Q, K, V)
        peaks[name] = attention.get_metrics().peak_memory_mb
        calls[name] = called.copy()
    assert peaks["memory-efficient"] < peaks["latency-optimized"] / 3
    # Each piece has one batch entry, instead of all of them.
    assert {shape[0] for _, shape in calls["latency-optimized"]} == {2}
    assert {shape[0] for _, shape in calls["throughput-optimized"]} == {1}
    # Pieces are dealt out to one runtime of one thread for each thread.
    assert len(called.runtimes) == fw.default_runtime().threads
    assert {runtime.threads for runtime in called.runtimes} == {1}


def show_blocks(make, called):
    plain = pieces(make, called)
    assert plain[0] == [("attention", (2, 4, 70, 16))]
    assert [shape for _, shape in pieces(make, called, heads_per_block=2)[0]] == [
        (2, 2, 70, 16)
    ] * 2
    chunks = [shape[2] for _, shape in pieces(make, called, query_chunk_size=32)[0]]
    assert chunks == [32, 32, 6]
    flash, baseline = pieces(make, called, kv_chunk_size=40)
    assert [name for name, _ in flash] == ["attention"] * 3 + ["merge_attention"]
    assert baseline == plain[1]
    flash, baseline = pieces(make, called, matmul_block_size=32)
    assert flash == plain[0]
    # Two products for each of 8 heads, in blocks of 32 of 70 rows.
    assert [shape[0] for name, shape in baseline if name == "matmul"] == [32, 32, 32, 32, 6, 6] * 8
    assert len(plain[1]) == 3 * 8


def show_dropout_rate(make, called):
    del called
    attention = make(dropout_rate=0.5, blocks={"kv_chunk_size": 30, "query_chunk_size": 16})
    first, second = (attention.compute_flash_attention(Q, K, V) for _ in range(2))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[:, :, :16], first[:, :, 16:32])
    mean = np.mean([attention.compute_flash_attention(Q, K, V) for _ in range(200)], axis=0)
    assert np.abs(mean - fw.attention(Q, K, V)).mean() < 0.05
    with pytest.raises(fw.CapabilityError, match="the baseline has no dropout"):
        attention.compute_baseline_attention(Q, K, V)
    with pytest.raises(fw.CapabilityError, match="set fused_softmax to True"):
        attention.update_config({"fused_softmax": False})
    # Dropout is drawn anew for each call, so its result is not taken from the cache.
    tokens = normal(9, 16)
    assert len({attention.generate_code_embedding(tokens, tokens).tobytes() for _ in "ab"}) == 2


def show_use_causal_mask(make, called):
    del called
    expected = fw.attention(Q, K, V, causal="bottom_right")
    result = make(use_causal_mask=True).compute_flash_attention(Q, K, V)
    assert np.abs(result - expected).max() <= TOLERANCE
    assert np.abs(fw.attention(Q, K, V) - expected).max() > 0.1


def show_fused_softmax(make, called):
    make().compute_flash_attention(Q, K, V)
    assert {name for name, _ in called} == {"attention"}
    called.clear()
    make(fused_softmax=False).compute_flash_attention(Q, K, V)
    assert {name for name, _ in called} == {"matmul", "softmax"}


def show_enable_checkpointing(make, called):
    del called
    with pytest.raises(fw.CapabilityError, match="no backward pass"):
        make(enable_checkpointing=True)


def show_target_speedup(make, called):
    del called
    for least, met in (((1e-6, 1), True), ((1e6, 1e7), False)):
        attention = make(target_speedup=least)
        attention.compute_flash_attention(Q, K, V)
        assert attention.get_metrics().meets_target is None
        attention.compute_baseline_attention(Q, K, V)
        assert attention.get_metrics().meets_target is met


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_changes_the_operations_or_raises(make, called, setting):
    globals()[f"show_{setting}"](make, called)


# Metrics and `dispose`.


def test_metrics_have_calls_times_memory_and_speedup(make):
    attention = make()
    assert attention.get_metrics().cache_hit_rate is None
    attention.compute_flash_attention(Q, K, V)
    metrics = attention.get_metrics()
    assert (metrics.calls, metrics.speedup, metrics.baseline) == (1, None, None)
    assert 0 < metrics.kernel_share <= 1
    assert 0 < metrics.copy_share < 1
    flops = 2 * 8 * 70 * 90 * (16 + 24)
    assert metrics.flops_per_second == pytest.approx(flops / metrics.time_ms * 1e3, rel=0.2)
    assert metrics.tokens_per_second == pytest.approx(140 / metrics.time_ms * 1e3, rel=0.2)
    assert metrics.peak_memory_mb >= (Q.nbytes + K.nbytes + V.nbytes) / 2**20
    attention.compute_baseline_attention(Q, K, V)
    metrics = attention.get_metrics()
    assert metrics.speedup > 0
    assert "materialised" in metrics.baseline
    attention.compute_flash_attention(Q[:, :, :9], K, V)
    assert attention.get_metrics().speedup is None  # There is no baseline of these shapes.
    attention.reset_metrics()
    assert attention.get_metrics().calls == 0
    assert attention.get_metrics().kernel_share == 0
    assert set(metrics.as_dict()) >= {"time_ms", "memory_mb", "cache_hit_rate"}


def test_every_use_after_dispose_raises():
    attention = qe.create_qe_flash_attention("code-embedding")
    attention.compute_flash_attention(Q, K, V)
    attention.dispose()
    attention.dispose()
    uses = [
        lambda: attention.compute_flash_attention(Q, K, V),
        lambda: attention.compute_baseline_attention(Q, K, V),
        lambda: attention.compute_test_similarity(normal(8), normal(3, 8)),
        lambda: attention.match_defect_pattern(normal(8), {}),
        lambda: attention.search_coverage(normal(8), normal(3, 8)),
        lambda: attention.generate_code_embedding(normal(3, 8), normal(8)),
        lambda: attention.update_config({}),
        lambda: attention.adapt_pattern(normal(8)),
        attention.get_metrics,
        attention.reset_metrics,
        attention.__enter__,
    ]
    for use in uses:
        with pytest.raises(fw.ClosedError, match="code-embedding workload was disposed of"):
            use()


def test_a_whole_configuration_may_be_given():
    config = qe.FlashAttentionConfig(use_causal_mask=True)
    with qe.create_qe_flash_attention("defect-matching", config) as attention:
        assert attention.get_config() is config
    with pytest.raises(fw.DTypeError, match="blocks: expected a BlockConfig"):
        qe.FlashAttentionConfig(blocks=512)


# The backend and the benchmarks.


def test_the_backend_times_an_operation():
    backend = qe.get_wasm_simd_backend()
    assert backend.is_simd_available()
    assert backend.get_capabilities() == fw.capabilities()
    timing = backend.benchmark_operation("matmul", iterations=3)
    assert timing.iterations == 3
    assert timing.gflops == pytest.approx(2 * 512**3 * timing.ops_per_second / 1e9)
    assert backend.benchmark_operation("vecadd", 2).gb_per_s > 0
    with pytest.raises(fw.ShapeError, match="op: expected one of 'attention'"):
        backend.benchmark_operation("conv")
    with pytest.raises(fw.ShapeError, match="iterations"):
        backend.benchmark_operation("matmul", 0)


def test_every_measured_operation_can_be_named():
    """The names that a type checker accepts are those of the table of cases."""
    assert set(get_args(OperationName)) == {case.operation for case in CASES}


def test_every_workload_has_settings_and_targets():
    tables = (qe.QE_FLASH_ATTENTION_CONFIG, qe.QE_PERFORMANCE_TARGETS, qe.QE_SONA_CONFIG)
    assert all(tuple(table) == qe.WORKLOADS for table in tables)


@pytest.mark.parametrize("workload", ["defect-matching", "pattern-adaptation"])
def test_a_benchmark_compares_times_with_targets(workload, monkeypatch):
    monkeypatch.setattr(workload_benchmarks, "_EFFORT", BRIEF)
    monkeypatch.setattr(workload_operations, "_PATTERNS", 20)
    result = qe.benchmark_workload(workload)
    assert result.speedup == pytest.approx(result.baseline_ms / result.flash_ms)
    assert 0 < result.memory_reduction < 1
    assert result.meets_speedup == (result.speedup >= result.target_speedup)
    target = qe.QE_PERFORMANCE_TARGETS[workload].latency_ms
    assert result.meets_latency == (result.latency_ms <= target)
    assert result.meets_target == (result.meets_latency and result.meets_speedup)
    for measured in result.operations:
        assert measured.warm_ms > 0
        assert measured.cold_ms > 0
        assert measured.meets_target == (measured.warm_ms <= target)


def test_a_wrong_operation_is_not_timed(monkeypatch):
    monkeypatch.setattr(workload_operations, "_PATTERNS", 20)
    monkeypatch.setattr(workload_operations, "_nearest", lambda *_: [])
    with pytest.raises(fw.FlashWasmError, match=r"match_defect_pattern.*: the result is wrong"):
        qe.benchmark_workload("defect-matching")


@pytest.mark.slow
def test_the_other_benchmarks(monkeypatch):
    for module, name, size in (
        (workload_benchmarks, "_EFFORT", BRIEF),
        (workload_operations, "_TESTS", 60),
        (workload_operations, "_COVERED", 3000),
        (workload_operations, "_TOKENS", 64),
    ):
        monkeypatch.setattr(module, name, size)
    monkeypatch.setenv("FLASHWASM_DATA", "nowhere")
    for workload in ("test-similarity", "code-embedding", "coverage-analysis"):
        *_, last = qe.benchmark_workload(workload).operations
        assert (last.warm_ms is None) == bool(last.missing)


def test_the_strategies_are_measured_side_by_side(monkeypatch):
    monkeypatch.setattr(strategies, "_EFFORT", BRIEF)
    monkeypatch.setattr(strategies, "_SHAPES", ((1, 8, 64, 64), (8, 8, 64, 64), (32, 8, 16, 64)))
    found = strategies.run_strategies()
    assert [one.strategy for one in found] == list(strategies.STRATEGIES)
    assert all(min(one.call_ms, one.batch_ms, one.short_ms) > 0 for one in found)
    assert all(one.peak_memory_mb > 0 for one in found)


def test_a_wrong_result_is_not_timed(monkeypatch):
    monkeypatch.setattr(
        "flashwasm.qe.workloads.chunked_attention._materialize", lambda o, *_: np.zeros(o.shape)
    )
    with pytest.raises(fw.FlashWasmError, match=r"baseline: error .*, allowed"):
        qe.benchmark_workload("pattern-adaptation")
