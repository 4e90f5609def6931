"""The table of bad input: the subjects of all areas."""

import adapter_rows
import attention_rows
import cache_rows
import encoder_rows
import index_rows
import operation_rows
import runtime_rows
import sharded_rows
import suite_rows
import workload_rows

SUBJECTS = [
    *operation_rows.SUBJECTS,
    *attention_rows.SUBJECTS,
    *cache_rows.SUBJECTS,
    *index_rows.SUBJECTS,
    *sharded_rows.SUBJECTS,
    *adapter_rows.SUBJECTS,
    *runtime_rows.SUBJECTS,
    *encoder_rows.SUBJECTS,
    *workload_rows.SUBJECTS,
    *suite_rows.SUBJECTS,
]

# Public functions and methods that the table leaves out, and the reasons.
LEFT_OUT = {
    "Runtime.copy": "it is called with checked arrays only",
    "LoRAAdapter.restore": "`load` calls it with a state that was checked",
    "SentenceEncoder": "`load` makes it",
    "qe.CoverageIndex": "`load` makes it",
    "qe.CoverageIndex.likeness": "`SuiteIndex.build` calls it with the node ids of a suite",
    "qe.CoverageIndex.row": "it takes a position that `find` returned",
    "qe.CoverageRows": "`index_coverage` makes it",
    "qe.CoverageRows.search": "`search_coverage` calls it with checked arguments",
    "qe.FunctionIndex": "`build` makes it",
    "qe.FunctionIndex.lexical": "`build` calls it with the functions that it found",
    "qe.FunctionIndex.of": "`build` calls it with the functions that it found",
    "qe.SuiteIndex": "`build` makes it",
}

# The functions over suites, coverage and failures get their tables next.
READERS_OF_SUITES = [
    "qe.AdaptationStore",
    "qe.CoverageIndex",
    "qe.FailureLibrary",
    "qe.FeedbackLog",
    "qe.FunctionIndex",
    "qe.Judgement",
    "qe.SuiteIndex",
    "qe.adapt_suite",
    "qe.cluster_failures",
    "qe.collect",
    "qe.find_duplicates",
    "qe.find_gaps",
    "qe.rank_tests",
    "qe.read_diff",
    "qe.read_failure",
]
