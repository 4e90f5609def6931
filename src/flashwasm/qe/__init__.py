"""Quality-engineering workloads: search, comparison and selection of tests in suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.lazy_imports import attach

# Public names by the module that defines them. A module is imported at the first use of one of its
# names, so that a command imports only the modules that it needs.
_HOMES = {
    "flashwasm.qe.adaptation.feedback_log": ["FeedbackLog", "Judgement"],
    "flashwasm.qe.adaptation.adaptation_store": ["AdaptationStore"],
    "flashwasm.qe.changes.diffs.unified_diff": ["ChangedFile", "read_diff"],
    "flashwasm.qe.changes.ranking.selected_tests": ["SelectedTest", "rank_tests"],
    "flashwasm.qe.coverage.gaps": ["Gap", "find_gaps"],
    "flashwasm.qe.coverage.coverage_index": ["CoverageIndex", "CoverageMatch"],
    "flashwasm.qe.defects.failure_clusters": ["FailureCluster", "cluster_failures"],
    "flashwasm.qe.defects.defect_verdict": ["DefectMatch"],
    "flashwasm.qe.defects.failure_library": ["FailureLibrary"],
    "flashwasm.qe.defects.failure_files": ["read_failures"],
    "flashwasm.qe.defects.tracebacks": ["Failure", "read_failure"],
    "flashwasm.qe.duplicates.duplicate_groups": ["DuplicateGroup", "find_duplicates"],
    "flashwasm.qe.functions.function_index": ["FunctionIndex"],
    "flashwasm.qe.functions.function_match": ["FunctionMatch"],
    "flashwasm.qe.similarity.match": ["Match"],
    "flashwasm.qe.similarity.suite_adaptation": ["adapt_suite"],
    "flashwasm.qe.similarity.suite_index": ["SuiteIndex"],
    "flashwasm.qe.suites.collection": ["collect"],
    "flashwasm.qe.suites.source_files": ["Skipped"],
    "flashwasm.qe.suites.suite": ["CollectedTest", "Suite"],
    "flashwasm.qe.workloads.backend": [
        "OperationTiming",
        "WASMSIMDBackend",
        "get_wasm_simd_backend",
    ],
    "flashwasm.qe.workloads.benchmarks": [
        "MeasuredOperation",
        "WorkloadBenchmark",
        "benchmark_workload",
        "run_flash_attention_benchmarks",
    ],
    "flashwasm.qe.workloads.configuration": [
        "BLOCK_SIZE_PRESETS",
        "QE_FLASH_ATTENTION_CONFIG",
        "QE_PERFORMANCE_TARGETS",
        "QE_SONA_CONFIG",
        "WORKLOADS",
        "BlockConfig",
        "FlashAttentionConfig",
        "PerformanceTarget",
        "SonaConfig",
        "TargetSpeedup",
        "get_optimal_block_config",
    ],
    "flashwasm.qe.workloads.coverage_analysis": ["CoverageRows"],
    "flashwasm.qe.workloads.defect_matching": ["PatternMatch"],
    "flashwasm.qe.workloads.metrics": ["Metrics"],
    "flashwasm.qe.workloads.pattern_adaptation": ["PatternAdaptation"],
    "flashwasm.qe.workloads.creation": ["create_qe_flash_attention"],
    "flashwasm.qe.workloads.qe_flash_attention": ["QEFlashAttention"],
    "flashwasm.qe.workloads.setting_changes": ["get_qe_flash_attention_config"],
    "flashwasm.qe.workloads.similarity": ["VectorMatch"],
}

if TYPE_CHECKING:
    from flashwasm.qe.adaptation.adaptation_store import AdaptationStore as AdaptationStore
    from flashwasm.qe.adaptation.feedback_log import FeedbackLog as FeedbackLog
    from flashwasm.qe.adaptation.feedback_log import Judgement as Judgement
    from flashwasm.qe.changes.diffs.unified_diff import ChangedFile as ChangedFile
    from flashwasm.qe.changes.diffs.unified_diff import read_diff as read_diff
    from flashwasm.qe.changes.ranking.selected_tests import SelectedTest as SelectedTest
    from flashwasm.qe.changes.ranking.selected_tests import rank_tests as rank_tests
    from flashwasm.qe.coverage.coverage_index import CoverageIndex as CoverageIndex
    from flashwasm.qe.coverage.coverage_index import CoverageMatch as CoverageMatch
    from flashwasm.qe.coverage.gaps import Gap as Gap
    from flashwasm.qe.coverage.gaps import find_gaps as find_gaps
    from flashwasm.qe.defects.defect_verdict import DefectMatch as DefectMatch
    from flashwasm.qe.defects.failure_clusters import FailureCluster as FailureCluster
    from flashwasm.qe.defects.failure_clusters import cluster_failures as cluster_failures
    from flashwasm.qe.defects.failure_files import read_failures as read_failures
    from flashwasm.qe.defects.failure_library import FailureLibrary as FailureLibrary
    from flashwasm.qe.defects.tracebacks import Failure as Failure
    from flashwasm.qe.defects.tracebacks import read_failure as read_failure
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup as DuplicateGroup
    from flashwasm.qe.duplicates.duplicate_groups import find_duplicates as find_duplicates
    from flashwasm.qe.functions.function_index import FunctionIndex as FunctionIndex
    from flashwasm.qe.functions.function_match import FunctionMatch as FunctionMatch
    from flashwasm.qe.similarity.match import Match as Match
    from flashwasm.qe.similarity.suite_adaptation import adapt_suite as adapt_suite
    from flashwasm.qe.similarity.suite_index import SuiteIndex as SuiteIndex
    from flashwasm.qe.suites.collection import collect as collect
    from flashwasm.qe.suites.source_files import Skipped as Skipped
    from flashwasm.qe.suites.suite import CollectedTest as CollectedTest
    from flashwasm.qe.suites.suite import Suite as Suite
    from flashwasm.qe.workloads.backend import OperationTiming as OperationTiming
    from flashwasm.qe.workloads.backend import WASMSIMDBackend as WASMSIMDBackend
    from flashwasm.qe.workloads.backend import get_wasm_simd_backend as get_wasm_simd_backend
    from flashwasm.qe.workloads.benchmarks import MeasuredOperation as MeasuredOperation
    from flashwasm.qe.workloads.benchmarks import WorkloadBenchmark as WorkloadBenchmark
    from flashwasm.qe.workloads.benchmarks import benchmark_workload as benchmark_workload
    from flashwasm.qe.workloads.benchmarks import (
        run_flash_attention_benchmarks as run_flash_attention_benchmarks,
    )
    from flashwasm.qe.workloads.configuration import BLOCK_SIZE_PRESETS as BLOCK_SIZE_PRESETS
    from flashwasm.qe.workloads.configuration import (
        QE_FLASH_ATTENTION_CONFIG as QE_FLASH_ATTENTION_CONFIG,
    )
    from flashwasm.qe.workloads.configuration import (
        QE_PERFORMANCE_TARGETS as QE_PERFORMANCE_TARGETS,
    )
    from flashwasm.qe.workloads.configuration import QE_SONA_CONFIG as QE_SONA_CONFIG
    from flashwasm.qe.workloads.configuration import WORKLOADS as WORKLOADS
    from flashwasm.qe.workloads.configuration import BlockConfig as BlockConfig
    from flashwasm.qe.workloads.configuration import FlashAttentionConfig as FlashAttentionConfig
    from flashwasm.qe.workloads.configuration import PerformanceTarget as PerformanceTarget
    from flashwasm.qe.workloads.configuration import SonaConfig as SonaConfig
    from flashwasm.qe.workloads.configuration import TargetSpeedup as TargetSpeedup
    from flashwasm.qe.workloads.configuration import (
        get_optimal_block_config as get_optimal_block_config,
    )
    from flashwasm.qe.workloads.coverage_analysis import CoverageRows as CoverageRows
    from flashwasm.qe.workloads.creation import (
        create_qe_flash_attention as create_qe_flash_attention,
    )
    from flashwasm.qe.workloads.defect_matching import PatternMatch as PatternMatch
    from flashwasm.qe.workloads.metrics import Metrics as Metrics
    from flashwasm.qe.workloads.pattern_adaptation import PatternAdaptation as PatternAdaptation
    from flashwasm.qe.workloads.qe_flash_attention import QEFlashAttention as QEFlashAttention
    from flashwasm.qe.workloads.setting_changes import (
        get_qe_flash_attention_config as get_qe_flash_attention_config,
    )
    from flashwasm.qe.workloads.similarity import VectorMatch as VectorMatch
else:
    # If a type checker saw `__getattr__`, it would accept every name.
    __getattr__, __dir__, _NAMES = attach(__name__, _HOMES)
    __all__ = [*_NAMES]  # noqa: PLE0604 - the table above is the one list of names.
