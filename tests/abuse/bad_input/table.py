"""The table of bad input: the subjects of all areas."""

from dataclasses import replace

import adapter_rows
import attention_rows
import cache_rows
import distributed_rows
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
    *(replace(subject, once=True) for subject in suite_rows.SUBJECTS),
    *(replace(subject, once=True) for subject in distributed_rows.SUBJECTS),
]

# Public functions and methods that the table leaves out, and the reasons.
LEFT_OUT = {
    "Runtime.copy": "it is called with checked arrays only",
    "LoRAAdapter.restore": "`load` calls it with a state that was checked",
    "SentenceEncoder": "`load` makes it",
    "distributed.LocalWorkers.map": "it is of `concurrent.futures.Executor`",
    "distributed.LocalWorkers.shutdown": "it is as of `concurrent.futures.Executor`",
    "distributed.LocalWorkers.submit": "it takes what the function takes that it is given",
    "distributed.WorkersEncoder.load": "it raises CapabilityError whatever it is given",
    "qe.CoverageIndex": "`load` makes it",
    "qe.CoverageIndex.likeness": "`SuiteIndex.build` calls it with the node ids of a suite",
    "qe.CoverageIndex.row": "it takes a position that `find` returned",
    "qe.CoverageRows": "`index_coverage` makes it",
    "qe.CoverageRows.search": "`search_coverage` calls it with checked arguments",
    "qe.FunctionIndex": "`build` makes it",
    "qe.FunctionIndex.lexical": "`build` calls it with the functions that it found",
    "qe.FunctionIndex.of": "`build` calls it with the functions that it found",
    "qe.AdaptationStore": "`adapt_suite` makes it",
    "qe.AdaptationStore.activate": "it takes a version that `history` returned",
    "qe.AdaptationStore.add": "`adapt_suite` calls it with what it trained",
    "qe.AdaptationStore.load": "it takes a version that `history` returned",
    "qe.CoverageIndex.find_file": "`who` and `tested` call it",
    "qe.FunctionIndex.components": "`search` calls it",
    "qe.FunctionIndex.load": "tests/qe/index_files reads damaged files",
    "qe.FunctionIndex.save": "tests/qe/index_files writes and reads files",
    "qe.SuiteIndex": "`build` makes it",
    "qe.SuiteIndex.components": "`similar` calls it",
    "qe.SuiteIndex.explain": "`similar` calls it",
}
