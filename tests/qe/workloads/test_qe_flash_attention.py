"""`flashwasm.qe`: settings that each change what runs, and the workloads' operations."""

import dataclasses

import numpy as np
import pytest

import flashwasm as fw
from flashwasm import qe
from flashwasm.benchmarks.timing import Effort
from flashwasm.qe.workloads import benchmark_operations as workload_operations
from flashwasm.qe.workloads import benchmarks as workload_benchmarks
from flashwasm.qe.workloads import chunked_attention
from flashwasm.qe.workloads.strategies import STRATEGIES, run_strategies

rng = np.random.default_rng(0)
SETTINGS = [f.name for f in dataclasses.fields(qe.FlashAttentionConfig)]
BLOCKS = [f.name for f in dataclasses.fields(qe.BlockConfig)]
# A float32 sum of at most 300 products of standard normal numbers, in another order.
TOLERANCE = 1e-5
BRIEF = Effort.of_rounds(2)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


Q, K, V = normal(2, 4, 70, 16), normal(2, 2, 90, 16), normal(2, 2, 90, 24)


@pytest.fixture
def make():
    made = []

    def make(workload="test-similarity", **settings):
        made.append(qe.create_qe_flash_attention(workload, settings))
        return made[-1]

    yield make
    for attention in made:
        attention.dispose()


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


def test_tables_are_the_specifications():
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
def test_presets(length, preset):
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
        ({"use_causal_mask": 1}, "use_causal_mask: expected a bool"),
        ({"target_speedup": 2}, "target_speedup: expected"),
        ({"target_speedup": (3, 2)}, "0 < min <= max"),
        ("blocks", "overrides: expected a mapping"),
    ],
)
def test_settings_that_are_refused(make, overrides, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        qe.get_qe_flash_attention_config("test-similarity", overrides)
    attention = make()
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        attention.update_config(overrides)
    assert attention.get_config() == qe.get_qe_flash_attention_config("test-similarity")


def test_an_unknown_workload():
    for call in (
        qe.get_qe_flash_attention_config,
        qe.create_qe_flash_attention,
        qe.benchmark_workload,
    ):
        with pytest.raises(fw.ShapeError, match="expected one of 'test-similarity'"):
            call("tests")


# Every setting changes what runs, or raises.


def pieces(make, called, **sizes):
    """Return what runs with blocks that are larger than the operands but for some sizes."""
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
    for name in ("native", "gpu", "hybrid"):
        with pytest.raises(fw.CapabilityError, match=f"backend '{name}' does not exist yet"):
            make(backend=name)
        with pytest.raises(fw.CapabilityError):
            make().update_config({"backend": name})


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
    # A batch entry a piece, instead of all of them together.
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
    # What is drawn anew each time is not kept.
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
def test_every_setting_changes_what_runs_or_raises(make, called, setting):
    globals()[f"show_{setting}"](make, called)


# Attention.

SIZES = [
    {},
    {"heads_per_block": 1, "query_chunk_size": 7, "kv_chunk_size": 11, "matmul_block_size": 5},
    {"heads_per_block": 3, "query_chunk_size": 70, "kv_chunk_size": 90},
]


@pytest.mark.parametrize("sizes", SIZES, ids=["defaults", "small", "exact"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("workload", ["test-similarity", "code-embedding", "coverage-analysis"])
@pytest.mark.parametrize("queries", [70, 120])
def test_blocks_and_strategies_change_no_result(make, workload, causal, fused, sizes, queries):
    attention = make(workload, blocks=sizes, fused_softmax=fused, use_causal_mask=causal)
    q = normal(2, 4, queries, 16)
    expected = fw.attention(q, K, V, causal="bottom_right" if causal else False)
    flash = attention.compute_flash_attention(q, K, V)
    baseline = attention.compute_baseline_attention(q, K, V)
    assert flash.shape == baseline.shape == expected.shape
    assert np.isfinite(flash).all()
    assert np.abs(flash - expected).max() <= TOLERANCE
    assert np.abs(baseline - expected).max() <= TOLERANCE


@pytest.mark.parametrize(
    "shapes",
    [
        [(5, 8), (7, 8), (7, 4)],
        [(2, 5, 8), (1, 7, 8), (1, 7, 8)],
        [(3, 1, 2, 5, 8), (4, 2, 7, 8), (2, 7, 8)],
        [(2, 0, 8), (2, 7, 8), (2, 7, 8)],
        [(2, 5, 8), (2, 0, 8), (2, 0, 8)],
    ],
    ids=str,
)
def test_shapes(make, shapes):
    q, k, v = (normal(*shape) for shape in shapes)
    result = make().compute_flash_attention(q, k, v)
    expected = fw.attention(q, k, v)
    assert result.shape == expected.shape
    assert np.allclose(result, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(5,), (7, 8), (7, 8)], "q: expected at least 2 axes"),
        ([(3, 5, 8), (2, 7, 8), (2, 7, 8)], "q: expected a multiple of the 2 heads"),
        ([(2, 5, 8), (2, 7, 8), (2, 6, 8)], "k, v: expected keys"),
        ([(2, 5, 8), (2, 7, 9), (2, 7, 8)], "k, v: expected keys"),
        ([(2, 1, 5, 8), (3, 1, 7, 8), (3, 1, 7, 8)], "do not broadcast"),
    ],
)
def test_shapes_that_are_refused(make, shapes, message):
    with pytest.raises(fw.ShapeError, match=message):
        make().compute_flash_attention(*(normal(*shape) for shape in shapes))
    with pytest.raises(fw.DTypeError, match="q: expected float32"):
        make().compute_flash_attention(np.ones((5, 8), int), K, V)


# Search.


def expected_matches(query, rows, count):
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    weights = np.exp(np.sqrt(len(query)) * cosines)
    best = np.argsort(-cosines, kind="stable")[:count]
    return best, cosines[best], (weights / weights.sum())[best]


@pytest.mark.parametrize("count", [1, 5, 100])
def test_similarity(make, count):
    corpus = normal(40, 33)
    matches = make().compute_test_similarity(corpus[3], corpus, count)
    best, cosines, weights = expected_matches(corpus[3], corpus, count)
    assert [m.index for m in matches] == best.tolist()
    assert np.allclose([m.score for m in matches], cosines, atol=1e-6)
    assert np.allclose([m.weight for m in matches], weights, atol=1e-6)
    assert matches[0].index == 3
    assert matches[0].score <= 1
    assert len(matches) == min(count, 40)


def test_similarity_of_nothing(make):
    attention = make()
    assert attention.compute_test_similarity(normal(8), normal(0, 8)) == []
    (match,) = attention.compute_test_similarity(np.zeros(8, np.float32), normal(1, 8))
    assert (match.score, match.weight) == (0, 1)
    with pytest.raises(fw.ShapeError, match=r"test_embedding: expected shape \(8,\)"):
        attention.compute_test_similarity(normal(7), normal(3, 8))
    with pytest.raises(fw.ShapeError, match="top_k"):
        attention.compute_test_similarity(normal(8), normal(3, 8), 0)


def test_a_row_with_nan_has_no_weight(make):
    corpus = normal(4, 8)
    corpus[0] = np.nan
    matches = make().compute_test_similarity(corpus[2], corpus, 4)
    assert matches[-1].index == 0
    assert matches[-1].weight == 0
    assert sum(m.weight for m in matches) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["mapping", "pairs"])
def test_defect_patterns(make, kind):
    vectors = normal(12, 20)
    library = {f"defect {i}": row for i, row in enumerate(vectors)}
    attention = make("defect-matching")
    given = library if kind == "mapping" else list(library.items())
    matches = attention.match_defect_pattern(vectors[5], given)
    best, cosines, weights = expected_matches(vectors[5], vectors, 12)
    assert [m.pattern for m in matches] == [f"defect {i}" for i in best]
    assert np.allclose([m.score for m in matches], cosines, atol=1e-6)
    assert np.allclose([m.weight for m in matches], weights, atol=1e-6)
    assert attention.match_defect_pattern(vectors[5], given, top_k=2) == matches[:2]
    above = attention.match_defect_pattern(vectors[5], given, threshold=0.5)
    assert above == [m for m in matches if m.score >= 0.5]
    assert attention.match_defect_pattern(vectors[5], {}) == []
    with pytest.raises(fw.ShapeError, match=r"pattern_library\['x'\]: expected shape \(20,\)"):
        attention.match_defect_pattern(vectors[5], {"x": normal(19)})
    with pytest.raises(fw.DTypeError, match=r"pattern_library\[0\]: expected \(name, vector\)"):
        attention.match_defect_pattern(vectors[5], ["x"])


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.uint8, np.float32])
def test_coverage_search(make, dtype):
    rows = (rng.random((30, 50)) < 0.3).astype(dtype)
    matches = make("coverage-analysis").search_coverage(rows[4], rows, 3)
    assert matches[0].index == 4
    assert matches[0].score == pytest.approx(1, abs=1e-6)


def test_indexed_coverage_is_exact_below_the_crossover_and_a_graph_above(make, monkeypatch):
    rows = (rng.random((60, 40)) < 0.3).astype(np.float32)
    rows[30:40] = rows[5]
    attention = make("coverage-analysis")
    assert attention.get_metrics().coverage_search is None
    expected = attention.search_coverage(rows[5], rows, 14)
    assert attention.get_metrics().coverage_search == "exact: an array, not an index"
    few = attention.index_coverage(rows)
    assert attention.search_coverage(rows[5], few, 14) == expected
    assert attention.get_metrics().coverage_search.startswith("exact: 50 vectors, at most 2400")
    monkeypatch.setattr("flashwasm.search.report.CROSSOVER", 0)
    many = attention.index_coverage(rows)
    found = attention.search_coverage(rows[5], many, 14)
    assert attention.get_metrics().coverage_search.startswith("graph: 50 vectors, more than 0")
    assert len(many) == 60
    # Rows that are alike are all found, the first of them first.
    assert [match.index for match in found[:11]] == [5, *range(30, 40)]
    assert {match.weight for match in found} == {None}
    ours, theirs = ([match.score for match in matches] for matches in (found, expected))
    assert ours == pytest.approx(theirs, abs=1e-6)
    with pytest.raises(fw.ShapeError, match="query_coverage: expected shape"):
        attention.search_coverage(rows[5, 1:], many)


def test_the_crossover_of_coverage_is_the_graphs(make):
    rows = rng.random((2401, 8)).astype(np.float32)
    index = make("coverage-analysis").index_coverage(rows)
    assert (index.exact, index.reason) == (False, "2401 vectors, more than 2400 = 24 max(ef, k)")


# Code embeddings.


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dim", [7, 64, 96])
def test_code_embedding(make, pooling, masked, dim):
    tokens, positions = normal(20, dim), normal(20, dim)
    mask = np.arange(20) % 3 != 1 if masked else None
    attention = make("code-embedding")
    result = attention.generate_code_embedding(tokens, positions, mask, pooling)
    x = (tokens + positions).astype(np.float64)
    taken = slice(None) if mask is None else mask
    width = max(d for d in range(1, 65) if dim % d == 0)
    heads = x.reshape(20, -1, width).swapaxes(0, 1)
    scores = heads @ heads.swapaxes(1, 2) / np.sqrt(width)
    weights = np.exp(scores - scores.max(-1, keepdims=True)) * (1 if mask is None else mask)
    states = weights / weights.sum(-1, keepdims=True) @ heads
    states = states.swapaxes(0, 1).reshape(20, dim)[taken]
    logits = states @ states.mean(0) / np.sqrt(dim)
    share = np.exp(logits - logits.max())
    pooled = {
        "mean": states.mean(0),
        "cls": states[0],
        "attention": share @ states / share.sum(),
    }[pooling]
    assert np.allclose(result, pooled / np.linalg.norm(pooled), rtol=0, atol=TOLERANCE)
    assert result.dtype == np.float32


@pytest.mark.parametrize("length", [1, 31, 32, 33, 70])
@pytest.mark.parametrize("heads_at_once", [1, 2, 8])
def test_the_mean_in_blocks_is_that_of_the_states(make, monkeypatch, length, heads_at_once):
    """Without a product for each query, in blocks that do and do not divide the length."""
    tokens, zero = normal(length, 192), np.zeros(192, np.float32)
    attention = make("code-embedding")
    blocks = {"heads_per_block": heads_at_once, "query_chunk_size": 32, "kv_chunk_size": 32}
    attention.update_config({"blocks": blocks})
    mean = attention.generate_code_embedding(tokens, zero)
    heads = tokens.reshape(length, 3, 64).swapaxes(0, 1)
    states = attention.compute_flash_attention(heads, heads, heads).mean(axis=1).reshape(-1)
    assert np.allclose(mean, states / np.linalg.norm(states), rtol=0, atol=TOLERANCE)
    monkeypatch.setattr("flashwasm.qe.workloads.code_embedding._STORED_SCORES", 5 * length)
    small = attention.generate_code_embedding(tokens, zero + np.float32(1e-30))
    assert np.allclose(mean, small, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
@pytest.mark.parametrize("causal", [False, True])
def test_what_takes_no_part_changes_nothing(make, pooling, causal):
    attention = make("code-embedding")
    attention.update_config({"use_causal_mask": causal})
    tokens, positions, mask = normal(50, 64), normal(50, 64), rng.random(50) > 0.5
    masked = attention.generate_code_embedding(tokens, positions, mask, pooling)
    alone = attention.generate_code_embedding(tokens[mask], positions[mask], None, pooling)
    assert np.array_equal(masked, alone)
    tokens[~mask] = np.nan
    again = attention.generate_code_embedding(tokens, positions, mask, pooling)
    assert np.array_equal(again, masked)


def test_code_embedding_with_one_position_for_all(make):
    attention, tokens, position = make(), normal(6, 8), normal(8)
    one = attention.generate_code_embedding(tokens, position)
    assert np.array_equal(one, attention.generate_code_embedding(tokens, np.tile(position, (6, 1))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((normal(6, 8), normal(7)), "position_embeddings: expected"),
        ((normal(6), normal(6)), "code_tokens: expected 2 axes"),
        ((normal(6, 8), normal(8), np.ones(5, bool)), "mask: expected shape"),
        ((normal(6, 8), normal(8), np.ones(6)), "mask: expected booleans"),
        ((normal(6, 8), normal(8), np.zeros(6, bool)), "at least one token"),
        ((normal(6, 8), normal(8), None, "max"), "pooling: expected one of"),
        ((np.zeros((6, 8)), np.zeros(8)), "no direction"),
        ((np.full((6, 8), np.nan), np.zeros(8)), "no direction"),
    ],
)
def test_code_embeddings_that_are_refused(make, arguments, message):
    with pytest.raises((fw.ShapeError, fw.DTypeError), match=message):
        make().generate_code_embedding(*arguments)


# Metrics, cache, life.


def test_metrics(make):
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


def test_embeddings_are_cached_up_to_a_bound(make, monkeypatch):
    table = {
        "coverage-analysis": qe.SonaConfig(enabled=False, rank=2, target_ms=1, cached_patterns=2)
    }
    monkeypatch.setattr("flashwasm.qe.workloads.qe_flash_attention.QE_SONA_CONFIG", table)
    attention = make("coverage-analysis")
    tokens = [normal(4, 8) for _ in range(3)]

    def embed(i, pooling="mean"):
        return attention.generate_code_embedding(tokens[i], np.zeros(8, np.float32), None, pooling)

    first = embed(0)
    first[:] = 0  # The caller's own copy.
    assert np.linalg.norm(embed(0)) == pytest.approx(1)
    assert attention.get_metrics().cache_hit_rate == 1 / 2
    embed(0, "cls")
    embed(1)
    attention.reset_metrics()
    embed(0)  # The oldest of three, dropped.
    assert attention.get_metrics().cache_hit_rate == 0


def vector(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_a_pattern_is_adapted_step_by_step(make):
    attention = make("pattern-adaptation")
    pattern, target = vector(384), vector(384, seed=1)
    first = attention.adapt_pattern(pattern, target)
    assert (first.adapted, first.cached) == (True, False)
    assert first.loss == pytest.approx(((pattern - target) ** 2).sum() / 2, rel=1e-4)
    losses = [attention.adapt_pattern(pattern, target).loss for _ in range(50)]
    assert losses[-1] < 0.9 * first.loss
    far = vector(4, 384, seed=2)
    assert attention.adapt_pattern(pattern, target, negatives=far, reward=0.5).adapted
    with pytest.raises(fw.ShapeError, match="negatives: expected a target"):
        attention.adapt_pattern(pattern, negatives=far)
    with pytest.raises(fw.ShapeError, match="pattern: expected 384 numbers"):
        attention.adapt_pattern(vector(8))
    with pytest.raises(fw.ShapeError, match="target: expected shape"):
        attention.adapt_pattern(pattern, vector(8))
    with pytest.raises(fw.ShapeError, match="reward"):
        attention.adapt_pattern(pattern, target, reward=-1.0)


def test_a_hit_is_no_adaptation(make):
    attention = make("test-similarity")
    pattern = vector(16)
    attention.adapt_pattern(pattern, vector(16, seed=1))
    assert attention.get_metrics().cache_hit_rate is None  # A step asks nothing of the cache.
    known = attention.adapt_pattern(pattern)
    assert (known.adapted, known.cached, known.loss) == (False, True, None)
    other = attention.adapt_pattern(vector(16, seed=2))
    assert (other.adapted, other.cached) == (False, False)
    assert attention.get_metrics().cache_hit_rate == 1 / 2
    known.pattern[:] = 0  # The caller's own copy.
    np.testing.assert_array_equal(
        attention.adapt_pattern(vector(16, seed=2)).pattern, other.pattern
    )
    # After another step what was kept is out of date.
    moved = attention.adapt_pattern(pattern, vector(16, seed=3))
    assert not attention.adapt_pattern(vector(16, seed=2)).cached
    again = attention.adapt_pattern(pattern)
    assert again.cached
    np.testing.assert_array_equal(again.pattern, moved.pattern)


SONA = {"enabled": True, "rank": 3, "target_ms": 1e6, "cached_patterns": 2}


@pytest.mark.parametrize("field", qe.SonaConfig._fields)
def test_every_setting_of_adaptation_acts(make, monkeypatch, field):
    """Each field in turn is given another value, and what it is for is seen to change."""
    other = {"enabled": False, "rank": 5, "target_ms": 0.0, "cached_patterns": 1}
    seen = []
    for settings in (SONA, SONA | {field: other[field]}):
        row = qe.SonaConfig(**settings)
        monkeypatch.setattr(
            "flashwasm.qe.workloads.qe_flash_attention.QE_SONA_CONFIG", {"code-embedding": row}
        )
        attention = make("code-embedding")
        if not row.enabled:
            with pytest.raises(fw.CapabilityError, match="adaptation is not enabled for code"):
                attention.adapt_pattern(vector(8), vector(8))
            return
        memory = attention.get_metrics().memory_mb
        done = attention.adapt_pattern(vector(512), vector(512, seed=1))
        memory = attention.get_metrics().memory_mb - memory
        for seed in (5, 6):
            attention.adapt_pattern(vector(512, seed=seed))
        found = {
            "rank": memory,
            "target_ms": done.within_target,
            "cached_patterns": attention.adapt_pattern(vector(512, seed=5)).cached,
        }
        seen.append(found)
    changed = [name for name in seen[0] if seen[0][name] != seen[1][name]]
    assert changed == [field]


def test_dispose():
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


def test_backend():
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


@pytest.mark.parametrize("workload", ["defect-matching", "pattern-adaptation"])
def test_benchmark(workload, monkeypatch):
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
    with pytest.raises(fw.FlashWasmError, match=r"match_defect_pattern.* not what NumPy finds"):
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
    assert [found.strategy for found in run_strategies()] == list(STRATEGIES)


def test_a_wrong_result_is_not_timed(monkeypatch):
    monkeypatch.setattr(
        "flashwasm.qe.workloads.chunked_attention._materialize", lambda o, *_: np.zeros(o.shape)
    )
    with pytest.raises(fw.FlashWasmError, match=r"baseline: error .*, allowed"):
        qe.benchmark_workload("pattern-adaptation")
