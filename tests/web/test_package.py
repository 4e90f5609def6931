"""The npm package: its contents, its use after installation, and its types."""

import json
import re
import shutil
import subprocess

import flashwasm as fw
from checkout import ROOT, SOURCE, TESTS
from flashwasm import kernel_table
from flashwasm.kernel_table import KERNELS

HERE = TESTS / "web"


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_holds_the_modules_and_nothing_else_is_needed(package):
    stated = json.loads((package / "package.json").read_text())
    assert stated["version"] == fw.__version__
    assert not stated.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    built = {path.name: path.read_bytes() for path in (package / "_wasm").iterdir()}
    names = ("relaxed.wasm", "simd128.wasm", "scalar.wasm", "manifest.json")
    assert built == {name: (SOURCE / "_wasm" / name).read_bytes() for name in names}
    assert {path.name for path in package.iterdir()} == {
        "LICENSE",
        "README.md",
        "_wasm",
        "package.json",
        "page",
        "src",
    }
    sources = {path.name for path in (ROOT / "web" / "src").iterdir()}
    assert {path.name for path in (package / "src").iterdir()} == sources


def test_the_package_in_node(package, node):
    shutil.copy(HERE / "package.test.mjs", package.parents[1])
    run(node, "--test", "package.test.mjs", folder=package.parents[1])


def test_the_types_compile_and_are_true(package, node, tsc):
    folder = package.parents[1]
    shutil.copy(HERE / "consumer.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022")
    run(tsc, *options, "--lib", "es2022,dom", "--types", "", "consumer.ts", folder=folder)
    if "node-" in node:  # Older Nodes read no TypeScript.
        printed = run(node, "--no-warnings", "consumer.ts", folder=folder)
        assert json.loads(printed) == [2, [0, 1], ["up", "up"], 64, True]


def test_the_tables_of_the_package_are_pythons(package, node):
    """The kernels' signatures, the limits, and the names that the types declare."""
    script = (
        "const table = await import('./src/kernel_table.js'), names = await import('flashwasm');"
        "const { KERNELS, LIMITS, METRICS } = table;"
        "console.log(JSON.stringify([KERNELS, LIMITS, METRICS, Object.keys(names)]))"
    )
    printed = run(node, "--input-type=module", "-e", script, folder=package)
    kernels, limits, metrics, names = json.loads(printed)
    rows = {kernel.export: kernel for kernel in KERNELS}
    for export, row in kernels.items():
        kernel = rows[export]
        assert row == {
            "signature": kernel.signature,
            "workspace": kernel.workspace,
            "inMemory": kernel.in_memory,
        }, export
    assert limits == {name: getattr(kernel_table, name) for name in limits}
    assert metrics == kernel_table.METRICS
    types = (package / "src" / "index.d.ts").read_text()
    declared = re.findall(r"^export (?:class|const|function) (\w+)", types, re.MULTILINE)
    assert sorted(names) == sorted(declared)
