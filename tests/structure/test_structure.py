"""How the code is laid out: who imports whom, what belongs to an operation, how long files are."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime

import flashwasm as fw
from bench.search.cases import SEARCH_CASES
from flashwasm import qe
from flashwasm.benchmarks.cases.table import CASES
from flashwasm.host.instance import ARGUMENT_BYTES
from flashwasm.kernel_table import KERNELS
from flashwasm.oracles import reference
from paths import ROOT, SOURCE

PYTHON = sorted(SOURCE.rglob("*.py"))
C = sorted([*(ROOT / "wasm").rglob("*.c"), *(ROOT / "wasm").rglob("*.h")])

# From the bottom up. A module imports from its own line or those above it, never from below.
LAYERS = [
    {"errors", "lazy_imports", "kernel_table", "storage", "oracles"},
    {"validation", "host"},
    {"runtime"},
    {"ops"},
    {"flash_attention", "capability_probe"},
    {"search"},
    {"adapt"},
    {"progress_bar"},
    {"encoder"},
    {"benchmarks"},
    {"qe"},
    {"cli", "pytest_plugin"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# And inside `qe`.
QE_LAYERS = [
    {"suites", "scoring", "index_files"},
    {"coverage", "defects", "adaptation"},
    {"duplicates"},
    {"similarity"},
    {"functions", "changes", "workloads"},
    {"inspection", "reports"},
    {"__init__"},
]
QE_LEVEL = {name: level for level, names in enumerate(QE_LAYERS) for name in names}

# Kernels that have no public function of their own name, and why.
NOT_PUBLIC = {
    "gelu_tanh": "gelu(approximate='tanh')",
    "attention_materialized": "the baseline that benchmarks compare with",
}

# Kernels that are parts of a class's methods, by operation.
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
# Oracles that go by another name than the operation.
ORACLES = {
    "cosine_top_k": "similarity",
    "FlatIndex": "top_k",
    "HNSWIndex": "top_k",
    "LoRAAdapter": "lora_loss",
}


def path_id(path):
    return str(path.relative_to(ROOT))


def imported(path):
    """Yield the dotted name of each import in a file, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unit(path, depth=0):
    return path.relative_to(SOURCE).parts[depth].removesuffix(".py")


@pytest.mark.parametrize("path", PYTHON, ids=path_id)
def test_imports_go_one_way(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "flashwasm" and len(parts) > 1 and parts[1] in LEVEL:
            assert LEVEL[parts[1]] <= LEVEL[unit(path)], f"{path_id(path)} imports {name}"


@pytest.mark.parametrize("path", [p for p in PYTHON if unit(p) == "qe"], ids=path_id)
def test_imports_go_one_way_inside_qe(path):
    for name in imported(path):
        place = name.removeprefix("flashwasm.qe.").split(".")[0]
        if name.startswith("flashwasm.qe.") and place in QE_LEVEL:
            assert QE_LEVEL[place] <= QE_LEVEL[unit(path, 1)], f"{path_id(path)} imports {name}"


def test_every_module_has_its_layer():
    assert {unit(path) for path in PYTHON} <= LEVEL.keys()
    assert {unit(path, 1) for path in PYTHON if unit(path) == "qe"} <= QE_LEVEL.keys()


@pytest.mark.parametrize("path", PYTHON, ids=path_id)
def test_only_the_host_imports_wasmtime(path):
    if unit(path) != "host":
        assert not [name for name in imported(path) if name.split(".")[0] == "wasmtime"]


def test_oracles_import_nothing_of_the_package():
    for path in (SOURCE / "oracles").rglob("*.py"):
        others = {name for name in imported(path) if name.startswith("flashwasm")}
        assert all(name.startswith("flashwasm.oracles") for name in others), path


@pytest.mark.parametrize("package", [fw, qe])
def test_init_holds_names_only(package):
    """Public names and how they are imported when first asked for; no code of any operation."""
    body = ast.parse(Path(package.__file__).read_text()).body
    assert not any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in body)
    assert len(set(package.__all__)) == len(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=rf"'{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


def test_importing_a_package_imports_none_of_its_names():
    code = (
        "import sys, flashwasm, flashwasm.qe as qe\n"
        "heavy = {'numpy', 'wasmtime', 'flashwasm.qe.suites.collection'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
        "print(qe.collect.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["", "flashwasm.qe.suites.collection", ""]


# The table of kernels: one row, and everything that belongs to it.


def where_exported(export):
    text = f"EXPORT({export})"
    return {path_id(path) for path in C if path.suffix == ".c" and text in path.read_text()}


def is_portable(path):
    """Return True if a C file uses no vectors, neither itself nor through what it includes."""
    included = re.findall(r'#include "(.+)"', path.read_text())
    headers = [(path.parent / name).resolve() for name in included]
    return not any(header.name == "simd.h" or not is_portable(header) for header in headers)


def missing(kernel):
    """Return what a row of the table lacks elsewhere."""
    operation = METHODS.get(kernel.operation, kernel.operation)
    found = where_exported(kernel.export)
    yield from (
        [] if any(not p.startswith("wasm/reference") for p in found) else ["a C function in wasm/"]
    )
    obvious = any(p.startswith("wasm/reference") or is_portable(ROOT / p) for p in found)
    yield from [] if obvious else ["the obvious C function in wasm/reference/"]
    declared = f"int32_t {kernel.export}(" in (ROOT / "wasm" / "abi.h").read_text()
    yield from [] if declared else ["a declaration in wasm/abi.h"]
    if operation in NOT_PUBLIC:
        return
    yield from [] if operation in fw.__all__ else ["a public function"]
    oracle = ORACLES.get(operation, operation)
    yield from ([] if hasattr(reference, oracle) else ["an oracle in src/flashwasm/oracles/"])
    test_file = TEST_FILES.get(operation, f"test_{operation}") + ".py"
    yield from [] if list((ROOT / "tests").rglob(test_file)) else ["a test file"]
    benched = any(case.operation == operation for case in (*CASES, *SEARCH_CASES))
    yield from [] if benched else ["a case in src/flashwasm/benchmarks/cases/"]
    guide = "\n".join(page.read_text() for page in (ROOT / "docs" / "guide").iterdir())
    yield from [] if f"## `{operation}`" in guide else ["a section in docs/guide/"]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.export)
def test_an_operation_is_whole(kernel):
    assert not list(missing(kernel))


def test_signatures_match_the_modules():
    """The table, the header and each built module agree about every export."""
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
        assert isinstance(memory.type, wasmtime.MemoryType)


def test_structures_of_arguments_have_room():
    for kernel in KERNELS:
        if kernel.in_memory:
            assert 4 * (kernel.workspace + len(kernel.signature)) <= ARGUMENT_BYTES, kernel.export


def test_limits_are_the_headers():
    """kernels.py states again what abi.h states: the numbers are the same."""
    header = (ROOT / "wasm" / "abi.h").read_text()
    table = vars(__import__("flashwasm.kernel_table", fromlist=["kernels"]))
    stated = dict(re.findall(r"^\s+([A-Z_]+) = ([\d <]+),", header, re.MULTILINE))
    shared = stated.keys() & table.keys()
    assert {"WORKSPACE_BYTES", "ATTENTION_MAX_DIM", "ATTENTION_KEY_BLOCK"} <= shared
    for name in shared:
        assert table[name] == eval(stated[name]), name  # noqa: S307 - digits and shifts only.


# The shape of files.


@pytest.mark.parametrize("path", [*PYTHON, *C], ids=path_id)
def test_files_stay_readable(path):
    """One noun a file: about 300 lines of Python or 250 of C, functions that fit a screen."""
    lines = path.read_text().splitlines()
    assert len(lines) <= (320 if path.suffix == ".py" else 250)
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node
                assert node.end_lineno - start.lineno < 60, node.name


def test_c_knows_nothing_of_python_and_does_not_allocate():
    for path in C:
        text = path.read_text()
        assert not re.search(r"Python\.h|\bmalloc\b|\bprintf\b|<stdio|<stdlib", text), path
        if path.name != "simd.h":
            code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            assert not re.search(r"__wasm_\w+simd|relaxed", code), (
                f"{path}: variants belong to simd.h"
            )
