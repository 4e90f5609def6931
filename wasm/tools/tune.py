"""Measure matmul and attention with other block sizes. Nothing is changed; results are printed.

    PYTHONPATH=src python wasm/tools/tune.py --emcc emcc
    PYTHONPATH=src python wasm/tools/tune.py --emcc emcc --quick

For each entry of SIZES the relaxed module is built from a copy of the C files with other constants.
Its results are checked against float64, and it is timed in turns with the other modules. Printed
are the speed, and that speed as a percentage of the committed module's. Constants for which the
workspace is too small do not compile, because a static assertion holds them; they are skipped.

The size of a block of keys decides in which order sums are taken, and so the bits of the results.
Changing it changes the results of every user.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import wasmtime
from build import VARIANTS, WASM, build_variant, find_linker

from flashwasm.benchmarks.case import Case
from flashwasm.benchmarks.cases.attention import attention_case
from flashwasm.benchmarks.cases.products import matmul_case
from flashwasm.benchmarks.expectation import Expectation
from flashwasm.benchmarks.measurement import resident
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.host.engine import compiled, engine
from flashwasm.runtime.runtime import Runtime

EFFORT = Effort(seconds=6.0, least_rounds=7, least_measurement=4e-3)
QUICK_EFFORT = Effort(seconds=0.05, least_rounds=2)
VARIANT = "relaxed"
COMMITTED = "as committed"

# Cases, the file that holds the constants, and other values to try.
Sizes = tuple[tuple[Case, ...], str, list[dict[str, int]]]
MATMUL_FILE = "operations/matmul.c"
SIZES: list[Sizes] = [
    (
        (matmul_case(512, 512, 512), matmul_case(512, 384, 1536)),
        MATMUL_FILE,
        [
            *({"K_BLOCK": size} for size in (128, 256)),
            *({"ROW_BLOCK": size} for size in (64, 256, 512)),
        ],
    ),
    (
        (attention_case(12, 512, 64), attention_case(12, 512, 64, causal=True)),
        "abi.h",
        [
            *({"ATTENTION_KEY_BLOCK": size} for size in (32, 128)),
        ],
    ),
    (
        (attention_case(12, 512, 64), attention_case(2, 2048, 64)),
        "attention/workspace.h",
        [{"MOST_QUERIES": size} for size in (128, 256, 1024)],
    ),
]
# One small case, for a run that only shows that everything works. The second choice does not fit.
QUICK_SIZES: list[Sizes] = [
    ((matmul_case(20, 70, 20),), MATMUL_FILE, [{"K_BLOCK": 64}, {"ROW_BLOCK": 512}])
]


class TooLargeError(Exception):
    """Constants that a static assertion of the C files refuses, with its message."""


def built(emcc: str, linker: Path, file: str, constants: dict[str, int]) -> wasmtime.Module:
    """Build the relaxed module with other values of constants in one of its files.

    Raises
    ------
    TooLargeError
        If a static assertion fails, for example because the workspace is too small for these sizes.
    SystemExit
        If it does not compile for another reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "wasm"
        shutil.copytree(WASM, copy, ignore=shutil.ignore_patterns("__pycache__"))
        text = (copy / file).read_text()
        for name, value in constants.items():
            text, count = re.subn(rf"\b{name} = [\d <]+\b", f"{name} = {value}", text)
            if count != 1:
                raise SystemExit(f"{file} does not define {name} exactly once")
        (copy / file).write_text(text)
        sources, flags = VARIANTS[VARIANT]
        paths = [copy / source.relative_to(WASM) for source in sources]
        try:
            module, _ = build_variant(emcc, linker, paths, flags, Path(folder))
        except SystemExit as error:
            failed = re.search(r"error: static.assert.* failed.*: (.+)", str(error))
            if failed is None:
                raise
            raise TooLargeError(failed.group(1)) from error
    return wasmtime.Module(engine(), module)


def compare(case: Case, modules: dict[str, wasmtime.Module], effort: Effort) -> dict[str, float]:
    """Return each module's speed on a case in GFLOP/s, by the module's name."""
    inputs = case.make(np.random.default_rng(0))
    expected = Expectation.of(case, inputs)
    with ExitStack() as stack:
        timers = {}
        for name, module in modules.items():
            with mock.patch("flashwasm.host.instance.compiled", lambda _, module=module: module):
                runtime = stack.enter_context(Runtime(1, VARIANT))
            run = resident(case, runtime, inputs)
            expected.checked_error(name, run())
            timers[name] = timer(run)
        times = interleaved(timers, effort)
    return {name: case.work / found.best / 1e9 for name, found in times.items()}


def main() -> None:
    """Build the modules, measure them on each case, and print their speeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emcc", default="emcc", help="the compiler to run; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one small case for a short time")
    options = parser.parse_args()
    linker = find_linker(options.emcc)
    effort = QUICK_EFFORT if options.quick else EFFORT
    for cases, file, choices in QUICK_SIZES if options.quick else SIZES:
        modules = {COMMITTED: compiled(VARIANT)}
        for constants in choices:
            name = ", ".join(f"{key} = {value}" for key, value in constants.items())
            try:
                modules[name] = built(options.emcc, linker, file, constants)
            except TooLargeError as error:
                print(f"{name}: skipped, {error}", flush=True)
        for case in cases:
            rates = compare(case, modules, effort)
            for name, rate in rates.items():
                over = rate / rates[COMMITTED]
                print(f"{case.name:28} {name:28} {rate:6.1f} GFLOP/s {over:5.0%}", flush=True)


if __name__ == "__main__":
    main()
