"""Bad input of the five workloads, their settings and their backend."""

from dataclasses import asdict

import numpy as np
from array_rows import LAYOUTS, float_array, virtual
from option_rows import count, flag, number, word
from subject import Row, Subject, row, unnamed

import flashwasm as fw
from flashwasm import qe
from sample_arrays import normal

X = normal(4)
ROWS = normal(3, 4, seed=1)
Q, K, V = (normal(2, 3, 4, seed=seed) for seed in range(3))
MASK = np.array([True, False, True])
LIBRARY = {"first": ROWS[0], "second": ROWS[1]}
BLOCKS = asdict(qe.get_optimal_block_config(128))


def method(of, name):
    """Return a call of a method of a new workload."""

    def run(_, **given):
        with qe.create_qe_flash_attention(of) as made:
            return getattr(made, name)(**given)

    return run


def indexed(_, coverage_rows):
    """Return a search in rows that were prepared."""
    with qe.create_qe_flash_attention("coverage-analysis") as made:
        rows = made.index_coverage(coverage_rows)
        return made.search_coverage(X, rows, 2), len(rows)


def updated(_, updates):
    """Return the settings after some were replaced."""
    with qe.create_qe_flash_attention("test-similarity") as made:
        return made.update_config(updates)


def created(_, **given):
    """Return the settings of a new workload."""
    with qe.create_qe_flash_attention(**given) as made:
        return made.get_config()


def operands():
    """Return the rows of q, k and v."""
    return [
        *(r for name, x in (("q", Q), ("k", K), ("v", V)) for r in float_array(name, x)),
        row("k of another dimension", "k", normal(2, 3, 5), fw.ShapeError),
        row("v of other keys", "v", normal(2, 4, 4), fw.ShapeError),
        row("q of 3 heads", "q", normal(3, 3, 4), fw.ShapeError),
        row("q of one axis", "q", X, fw.ShapeError),
        Row(
            "k and v without heads",
            "k",
            lambda: {"k": normal(0, 3, 4), "v": normal(0, 3, 4)},
            fw.ShapeError,
        ),
        Row(
            "endless operands",
            "q",
            lambda: dict.fromkeys("qkv", virtual(2**40, 3, 4)),
            fw.OutOfMemoryError,
            named=False,
        ),
    ]


def coverage(name, x):
    """Return the rows of an argument that takes counts, booleans and weights."""
    takes_integers = ("int64", "uint8", "bool")
    return [r for r in float_array(name, x) if not r.case.endswith(takes_integers)]


def overrides(name):
    """Return the rows of settings that replace others."""
    wrong = [1, "odd", [("strategy", "x")], {1: 2}.items(), object()]
    return [
        *(row(f"{name} of {value!r:.30}", name, value, fw.DTypeError) for value in wrong),
        row(f"{name} of an unknown field", name, {"odd": 1}, fw.ShapeError),
        Row(
            f"{name} of an unknown block",
            "blocks",
            lambda: {name: {"blocks": {"odd": 1}}},
            fw.ShapeError,
        ),
        *(
            Row(
                f"{name}: {field} of {value!r:.30}",
                field,
                lambda f=field, v=value: {name: {f: v}},
                e,
            )
            for field, value, e in (
                ("odd", 1, fw.ShapeError),
                ("backend", "odd", fw.ShapeError),
                ("strategy", 1, fw.DTypeError),
                ("blocks", 1, fw.DTypeError),
                ("dropout_rate", np.nan, fw.ShapeError),
                ("dropout_rate", 1, fw.ShapeError),
                ("use_causal_mask", "no", fw.DTypeError),
                ("fused_softmax", 1, fw.DTypeError),
                ("enable_checkpointing", None, fw.DTypeError),
                ("target_speedup", (2, 1), fw.ShapeError),
                ("target_speedup", "ab", fw.DTypeError),
            )
        ),
    ]


SUBJECTS = [
    Subject(
        "qe.get_optimal_block_config",
        {"seq_len": 300},
        [r for r in count("seq_len", 300, big=None) if r.raises],
        lambda _, **given: qe.get_optimal_block_config(**given),
    ),
    Subject(
        "qe.BlockConfig",
        BLOCKS,
        [r for name in BLOCKS for r in count(name, BLOCKS[name], big=None) if r.raises],
        lambda _, **given: qe.BlockConfig(**given),
    ),
    Subject(
        "qe.FlashAttentionConfig",
        {},
        [
            *word("backend", "wasm-simd"),
            *word("strategy", "latency-optimized"),
            row("blocks of a mapping", "blocks", BLOCKS, fw.DTypeError),
            *number("dropout_rate", 0.0, least=0.0),
            row("dropout_rate of 1", "dropout_rate", 1, fw.ShapeError),
            *flag("use_causal_mask"),
            *flag("fused_softmax", good=True),
            *flag("enable_checkpointing"),
            *(
                row(f"target_speedup of {value!r}", "target_speedup", value, error)
                for value, error in (
                    (1, fw.DTypeError),
                    ((1, "2"), fw.DTypeError),
                    ((1, np.inf), fw.ShapeError),
                    ((2, 1), fw.ShapeError),
                    ({"min": 1}, fw.DTypeError),
                )
            ),
        ],
        lambda _, **given: qe.FlashAttentionConfig(**given),
    ),
    Subject(
        "qe.get_qe_flash_attention_config",
        {"workload": "test-similarity"},
        [*word("workload", "test-similarity"), *overrides("overrides")],
        lambda _, **given: qe.get_qe_flash_attention_config(**given),
    ),
    Subject(
        "qe.create_qe_flash_attention",
        {"workload": "test-similarity"},
        [
            *word("workload", "test-similarity"),
            *(r for r in overrides("config") if r.argument != "config"),
            row("config of text", "config", "odd", fw.DTypeError),
            Row(
                "config of dropout on native",
                "dropout_rate",
                lambda: {"config": {"backend": "native", "dropout_rate": 0.1}},
                fw.CapabilityError,
            ),
        ],
        created,
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention",
        {"workload": "test-similarity", "config": qe.FlashAttentionConfig()},
        [
            *word("workload", "test-similarity"),
            row("config of a mapping", "config", {}, fw.DTypeError),
            row("config of None", "config", None, fw.DTypeError),
        ],
        lambda _, **given: disposed(qe.QEFlashAttention(**given)),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.update_config",
        {"updates": {}},
        [
            row("updates of None", "updates", None, fw.DTypeError),
            row("updates of text", "updates", "odd", fw.DTypeError),
            row("updates of an unknown field", "updates", {"odd": 1}, fw.ShapeError),
        ],
        updated,
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.compute_flash_attention",
        {"q": Q, "k": K, "v": V},
        operands(),
        method("test-similarity", "compute_flash_attention"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.compute_baseline_attention",
        {"q": Q, "k": K, "v": V},
        operands(),
        method("test-similarity", "compute_baseline_attention"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.compute_test_similarity",
        {"test_embedding": X, "corpus_embeddings": ROWS, "top_k": 3},
        [
            *float_array("test_embedding", X, least_axes=1, most_axes=1),
            *float_array("corpus_embeddings", ROWS, least_axes=2, most_axes=2),
            *(r for r in count("top_k", 3, big=None)),
            row("test_embedding of 5 numbers", "test_embedding", normal(5), fw.ShapeError),
            unnamed("endless corpus", "corpus_embeddings", virtual(2**50, 4), fw.OutOfMemoryError),
        ],
        method("test-similarity", "compute_test_similarity"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.index_coverage",
        {"coverage_rows": ROWS},
        [
            *coverage("coverage_rows", ROWS),
            row("coverage_rows of one axis", "coverage_rows", X, fw.ShapeError),
            row(
                "coverage_rows of no columns", "coverage_rows", np.zeros((2**31, 0)), fw.ShapeError
            ),
            unnamed("2**31 rows", "coverage_rows", virtual(2**31, 4), fw.OutOfMemoryError),
            unnamed("2**31 columns", "coverage_rows", virtual(2, 2**31), fw.OutOfMemoryError),
            unnamed(
                "2**40 booleans",
                "coverage_rows",
                virtual(2**40, 4, dtype=np.bool_),
                fw.OutOfMemoryError,
            ),
        ],
        indexed,
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.search_coverage",
        {"query_coverage": X, "coverage_rows": ROWS, "top_k": 3},
        [
            *coverage("query_coverage", X),
            *coverage("coverage_rows", ROWS),
            *count("top_k", 3, big=None),
            row("query_coverage of 5 numbers", "query_coverage", normal(5), fw.ShapeError),
            row("coverage_rows of one axis", "coverage_rows", X, fw.ShapeError),
            unnamed(
                "endless coverage_rows", "coverage_rows", virtual(2**50, 4), fw.OutOfMemoryError
            ),
        ],
        method("coverage-analysis", "search_coverage"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.match_defect_pattern",
        {"defect_embedding": X, "pattern_library": LIBRARY, "top_k": 2, "threshold": -1.0},
        [
            *float_array("defect_embedding", X, least_axes=1, most_axes=1),
            *count("top_k", 2, big=None, optional=True),
            *number("threshold", -1.0, optional=True, huge=None),
            *(
                Row(
                    r.case.replace("pattern", "pattern_library"),
                    "pattern_library",
                    lambda r=r: {"pattern_library": {**LIBRARY, "second": r.given()["pattern"]}},
                    r.raises,
                )
                for r in float_array("pattern", LIBRARY["second"], least_axes=1, most_axes=1)
            ),
            *(
                row(f"pattern_library of {value!r:.30}", "pattern_library", value, fw.DTypeError)
                for value in (None, 1, "odd", [1], [("a",)], object(), [("a", X, 1)])
            ),
            row("a name that is no text", "pattern_library", [(1, X)], fw.DTypeError),
            row("pattern_library of none", "pattern_library", {}, gives=[]),
        ],
        method("defect-matching", "match_defect_pattern"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.generate_code_embedding",
        {"code_tokens": ROWS, "position_embeddings": X, "mask": MASK},
        [
            *float_array("code_tokens", ROWS, least_axes=2, most_axes=2),
            *float_array("position_embeddings", X, least_axes=1),
            *(row(f"mask {case}", "mask", make(MASK)) for case, make in LAYOUTS.items()),
            row("mask of integers", "mask", [1, 0, 1], fw.DTypeError),
            row("mask of text", "mask", "odd", fw.DTypeError),
            row("mask of 2 tokens", "mask", MASK[:2], fw.ShapeError),
            row("mask of no token", "mask", np.zeros(3, np.bool_), fw.ShapeError),
            *word("pooling", "mean"),
            Row(
                "code_tokens of no columns",
                "code_tokens",
                lambda: {"code_tokens": normal(3, 0), "position_embeddings": normal(0)},
                fw.ShapeError,
            ),
            row("code_tokens of no rows", "code_tokens", normal(0, 4), fw.ShapeError),
            row("code_tokens with NaN", "code_tokens", ROWS * np.float32(np.nan), fw.ShapeError),
            unnamed("endless code_tokens", "code_tokens", virtual(2**50, 4), fw.OutOfMemoryError),
        ],
        method("code-embedding", "generate_code_embedding"),
        once=True,
    ),
    Subject(
        "qe.QEFlashAttention.adapt_pattern",
        {"pattern": X, "target": ROWS[0], "negatives": ROWS[1:]},
        [
            *float_array("pattern", X, least_axes=1, most_axes=1),
            *(r for r in float_array("target", ROWS[0], optional=True, most_axes=1)),
            *float_array("negatives", ROWS[1:], optional=True, least_axes=2, most_axes=2),
            *number("reward", 1.0, least=0.0),
            row("pattern of no numbers", "pattern", normal(0), fw.ShapeError),
            row("pattern of 2**31 numbers", "pattern", virtual(2**31), fw.ShapeError),
            row("target that is left out", "target", None, fw.ShapeError),
            row("target of 5 numbers", "target", normal(5), fw.ShapeError),
        ],
        method("pattern-adaptation", "adapt_pattern"),
        once=True,
    ),
    Subject(
        "qe.benchmark_workload",
        {"name": None},
        [r for r in word("name", "test-similarity", optional=True) if r.raises],
        # A measurement takes seconds, so the plain call is none.
        lambda _, name: name if name is None else qe.benchmark_workload(name),
        once=True,
    ),
    Subject(
        "qe.WASMSIMDBackend.benchmark_operation",
        {"op": "vecadd", "iterations": 1},
        [
            *(r for r in word("op", "vecadd") if r.raises),
            *(r for r in count("iterations", 1) if r.raises and r.case.split()[-1] in {"0", "-1"}),
            *(r for r in count("iterations", 1) if r.raises is fw.DTypeError),
        ],
        lambda _, **given: qe.get_wasm_simd_backend().benchmark_operation(**given).operation,
        once=True,
    ),
]


def disposed(made):
    """Return the settings of a workload, which is closed."""
    made.dispose()
    return made.get_config()
