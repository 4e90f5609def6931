"""Quality-engineering workloads: a test suite as vectors."""

from flashwasm.qe.adaptation_store import AdaptationStore
from flashwasm.qe.backend import OperationTiming, WASMSIMDBackend, get_wasm_simd_backend
from flashwasm.qe.configuration import (
    BLOCK_SIZE_PRESETS,
    QE_FLASH_ATTENTION_CONFIG,
    QE_PERFORMANCE_TARGETS,
    QE_SONA_CONFIG,
    WORKLOADS,
    BlockConfig,
    FlashAttentionConfig,
    PerformanceTarget,
    SonaConfig,
    TargetSpeedup,
    get_optimal_block_config,
    get_qe_flash_attention_config,
)
from flashwasm.qe.coverage_index import CoverageIndex, CoverageMatch
from flashwasm.qe.coverage_rows import CoverageRows
from flashwasm.qe.creation import create_qe_flash_attention
from flashwasm.qe.diffs import ChangedFile, read_diff
from flashwasm.qe.duplicates import DuplicateGroup, find_duplicates
from flashwasm.qe.failure_library import (
    DefectMatch,
    FailureCluster,
    FailureLibrary,
    cluster_failures,
)
from flashwasm.qe.feedback import FeedbackLog, Judgement
from flashwasm.qe.functions import FunctionIndex, FunctionMatch
from flashwasm.qe.gaps import Gap, find_gaps
from flashwasm.qe.match import Match
from flashwasm.qe.metrics import Metrics
from flashwasm.qe.nearest import PatternMatch, VectorMatch
from flashwasm.qe.patterns import PatternAdaptation
from flashwasm.qe.reports import read_failures
from flashwasm.qe.selection import SelectedTest, rank_tests
from flashwasm.qe.similar import SuiteIndex
from flashwasm.qe.suite import CollectedTest, Skipped, Suite, collect
from flashwasm.qe.suite_adaptation import adapt_suite
from flashwasm.qe.tracebacks import Failure, read_failure
from flashwasm.qe.workload import QEFlashAttention
from flashwasm.qe.workload_benchmarks import (
    MeasuredOperation,
    WorkloadBenchmark,
    benchmark_workload,
    run_flash_attention_benchmarks,
)

__all__ = [
    "BLOCK_SIZE_PRESETS",
    "QE_FLASH_ATTENTION_CONFIG",
    "QE_PERFORMANCE_TARGETS",
    "QE_SONA_CONFIG",
    "WORKLOADS",
    "AdaptationStore",
    "BlockConfig",
    "ChangedFile",
    "CollectedTest",
    "CoverageIndex",
    "CoverageMatch",
    "CoverageRows",
    "DefectMatch",
    "DuplicateGroup",
    "Failure",
    "FailureCluster",
    "FailureLibrary",
    "FeedbackLog",
    "FlashAttentionConfig",
    "FunctionIndex",
    "FunctionMatch",
    "Gap",
    "Judgement",
    "Match",
    "MeasuredOperation",
    "Metrics",
    "OperationTiming",
    "PatternAdaptation",
    "PatternMatch",
    "PerformanceTarget",
    "QEFlashAttention",
    "SelectedTest",
    "Skipped",
    "SonaConfig",
    "Suite",
    "SuiteIndex",
    "TargetSpeedup",
    "VectorMatch",
    "WASMSIMDBackend",
    "WorkloadBenchmark",
    "adapt_suite",
    "benchmark_workload",
    "cluster_failures",
    "collect",
    "create_qe_flash_attention",
    "find_duplicates",
    "find_gaps",
    "get_optimal_block_config",
    "get_qe_flash_attention_config",
    "get_wasm_simd_backend",
    "rank_tests",
    "read_diff",
    "read_failure",
    "read_failures",
    "run_flash_attention_benchmarks",
]
