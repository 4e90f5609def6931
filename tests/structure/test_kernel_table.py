"""The table of kernels: each row has its C, oracle, test, benchmark and page.

The table, the header `wasm/abi.h` and the built modules agree about every exported function.
"""

import re

import wasmtime

import flashwasm as fw
from bench.search.cases import SEARCH_CASES
from checkout import ROOT, SOURCE, TESTS
from flashwasm import kernel_table
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.host.instance import ARGUMENT_BYTES
from flashwasm.kernel_table import KERNELS
from flashwasm.oracles import reference
from source_code import C_FILES, place

HEADER = (ROOT / "wasm" / "abi.h").read_text("utf-8")

# Kernels without a public function of the same name, and the code that calls them.
NOT_PUBLIC = {
    "gelu_tanh": "gelu(approximate='tanh')",
    "softmax_piece": "softmax of long rows",
    "norm_piece": "layer_norm and rms_norm of long rows",
    "mean_pool_piece": "mean_pool of long sequences",
    "attention_materialized": "the baseline that benchmarks compare with",
}
# Kernels that methods of a class call, and the class.
METHODS = {
    "index_store": "FlatIndex",
    "flat_search": "FlatIndex",
    "flat_search_i8": "FlatIndex",
    "index_score": "HNSWIndex",
    "hnsw_insert": "HNSWIndex",
    "hnsw_search": "HNSWIndex",
    "hnsw_repair": "HNSWIndex",
    "lora_apply": "LoRAAdapter",
    "lora_update": "LoRAAdapter",
    "lora_fisher": "LoRAAdapter",
}
TEST_FILES = {
    "FlatIndex": "test_flat_index",
    "HNSWIndex": "test_hnsw_index",
    "LoRAAdapter": "test_lora_adapter",
}
# Oracles that have another name than the operation.
ORACLES = {
    "cosine_top_k": "similarity",
    "FlatIndex": "top_k",
    "HNSWIndex": "top_k",
    "LoRAAdapter": "lora_loss",
}


def is_portable(path):
    """Return True if a C file uses no vectors, neither itself nor through what it includes."""
    headers = [
        (path.parent / name).resolve() for name in re.findall(r'#include "(.+)"', path.read_text())
    ]
    return not any(header.name == "simd.h" or not is_portable(header) for header in headers)


def missing(kernel):
    """Yield the parts that a kernel of the table should have elsewhere, and lacks."""
    operation = METHODS.get(kernel.operation, kernel.operation)
    defined = [path for path in C_FILES if f"EXPORT({kernel.export})" in path.read_text()]
    obvious = [path for path in defined if path.parent.name == "reference"]
    if len(defined) == len(obvious):
        yield "a C function in wasm/"
    if not obvious and not any(map(is_portable, defined)):
        yield "the obvious C function in wasm/reference/"
    if f"int32_t {kernel.export}(" not in HEADER:
        yield "a declaration in wasm/abi.h"
    if operation in NOT_PUBLIC:
        return
    if operation not in fw.__all__:
        yield "a public function"
    if not hasattr(reference, ORACLES.get(operation, operation)):
        yield "an oracle in src/flashwasm/oracles/reference/"
    if not list(TESTS.rglob(TEST_FILES.get(operation, f"test_{operation}") + ".py")):
        yield "a test file"
    if not any(case.operation == operation for case in (*CASES, *SEARCH_CASES)):
        yield "a case in src/flashwasm/benchmarks/cases/"
    guide = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "guide").iterdir())
    if f"## `{operation}`" not in guide:
        yield "a section in docs/guide/"


def test_each_kernel_has_all_its_parts():
    found = [f"{kernel.export} lacks {part}" for kernel in KERNELS for part in missing(kernel)]
    assert not found, "\n" + "\n".join(found)


def test_signatures_match_the_modules():
    letters = {"i32": "i", "f32": "f"}
    config = wasmtime.Config()
    config.wasm_threads = config.shared_memory = config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    for path in sorted((SOURCE / "_wasm").glob("*.wasm")):
        module = wasmtime.Module(engine, path.read_bytes())
        functions = {
            e.name: e.type for e in module.exports if isinstance(e.type, wasmtime.FuncType)
        }
        assert functions.keys() == {kernel.export for kernel in KERNELS}
        for kernel in KERNELS:
            signature = "p" if kernel.in_memory else "p" * kernel.workspace + kernel.signature
            actual = "".join(letters[str(kind)] for kind in functions[kernel.export].params)
            assert actual == signature.replace("p", "i"), kernel.export
        (memory,) = module.imports
        assert isinstance(memory.type, wasmtime.MemoryType), place(path)


def test_structures_of_arguments_have_room():
    for kernel in KERNELS:
        if kernel.in_memory:
            assert 4 * (kernel.workspace + len(kernel.signature)) <= ARGUMENT_BYTES, kernel.export


def test_limits_equal_those_of_the_header():
    """kernel_table.py repeats limits of abi.h, with the same numbers."""
    stated = dict(re.findall(r"^\s+([A-Z_]+) = ([\d <]+),", HEADER, re.MULTILINE))
    shared = stated.keys() & vars(kernel_table).keys()
    assert {"WORKSPACE_BYTES", "ATTENTION_MAX_DIM", "ATTENTION_KEY_BLOCK"} <= shared
    for name in shared:
        factors = [int(factor) for factor in stated[name].split("<<")]
        value = factors[0] << sum(factors[1:])
        assert getattr(kernel_table, name) == value, name
