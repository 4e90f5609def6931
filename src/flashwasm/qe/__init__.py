"""Quality-engineering workloads: a test suite as vectors."""

from flashwasm.qe.adaptation.feedback import FeedbackLog, Judgement
from flashwasm.qe.adaptation.store import AdaptationStore
from flashwasm.qe.changes.diffs import ChangedFile, read_diff
from flashwasm.qe.changes.selection import SelectedTest, rank_tests
from flashwasm.qe.coverage.gaps import Gap, find_gaps
from flashwasm.qe.coverage.index import CoverageIndex, CoverageMatch
from flashwasm.qe.defects.library import (
    DefectMatch,
    FailureCluster,
    FailureLibrary,
    cluster_failures,
)
from flashwasm.qe.defects.reports import read_failures
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.qe.duplicates.groups import DuplicateGroup, find_duplicates
from flashwasm.qe.functions.index import FunctionIndex, FunctionMatch
from flashwasm.qe.similarity.match import Match
from flashwasm.qe.similarity.suite_adaptation import adapt_suite
from flashwasm.qe.similarity.suite_index import SuiteIndex
from flashwasm.qe.suites.suite import CollectedTest, Skipped, Suite, collect
from flashwasm.qe.workloads.attention import QEFlashAttention
from flashwasm.qe.workloads.backend import OperationTiming, WASMSIMDBackend, get_wasm_simd_backend
from flashwasm.qe.workloads.benchmarks import (
    MeasuredOperation,
    WorkloadBenchmark,
    benchmark_workload,
    run_flash_attention_benchmarks,
)
from flashwasm.qe.workloads.configuration import (
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
from flashwasm.qe.workloads.coverage_rows import CoverageRows
from flashwasm.qe.workloads.creation import create_qe_flash_attention
from flashwasm.qe.workloads.metrics import Metrics
from flashwasm.qe.workloads.nearest import PatternMatch, VectorMatch
from flashwasm.qe.workloads.patterns import PatternAdaptation

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
