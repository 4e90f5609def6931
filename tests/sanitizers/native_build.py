"""Native libraries of the kernels, with AddressSanitizer and UndefinedBehaviorSanitizer.

The sources of each variant are those of wasm/tools/build.py. The headers in include/ replace the
compiler's vector instructions of WebAssembly. `-mfma` gives the relaxed variant its fused
multiply-add, so that a library computes the same bits as the module.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "wasm" / "tools"))

from build import VARIANTS  # noqa: E402 - the folder of the tool is not on the path before.

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILE = [
    *("-O1", "-g", "-std=c11", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-mavx2", "-mfma"),
    *("-Wall", "-Wextra", "-Werror", f"-I{HERE / 'include'}"),
    # The name of an export means nothing outside WebAssembly.
    *("-Wno-unknown-attributes", "-Wno-ignored-attributes"),
]
# The flag by which the C knows that it may fuse.
FLAGS = {"relaxed": ["-D__wasm_relaxed_simd__"], "simd128": [], "scalar": []}


def run(*command):
    """Run a command and return what it prints; exit with its output if it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def asan_runtime(clang):
    """Return the path of the sanitizer's library, which must be loaded before the program."""
    return run(clang, "-print-file-name=libclang_rt.asan-x86_64.so")


def symbolizer(clang):
    """Return the path of the program that gives the sanitizer the names of functions."""
    # .ci/setup-emscripten has one there that finds its libraries.
    beside = Path(clang).with_name("bin") / "llvm-symbolizer"
    return str(beside) if beside.exists() else run(clang, "-print-prog-name=llvm-symbolizer")


def objects(clang, variant, folder, sanitize):
    """Compile the sources of a variant, several at a time, and return the paths of the objects."""
    sources, _ = VARIANTS[variant]
    folder.mkdir(parents=True, exist_ok=True)
    command = [clang, *COMPILE, *FLAGS[variant], *sanitize]
    # SIMDe is long: it takes most of the time if every file reads it anew.
    header = folder / "wasm_simd128.pch"
    run(*command, "-x", "c-header", HERE / "include" / "wasm_simd128.h", "-o", header)

    def compiled(source):
        name = "-".join(source.relative_to(ROOT / "wasm").with_suffix(".o").parts)
        run(*command, "-include-pch", header, "-c", source, "-o", folder / name)
        return folder / name

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(compiled, sources))


def build_library(clang, variant, folder):
    """Build the library of a variant, and return its path."""
    library = folder / f"{variant}.so"
    parts = objects(clang, variant, folder / variant, SANITIZE)
    run(clang, *SANITIZE, "-shared", "-shared-libasan", *parts, "-o", library)
    return library


def build_fuzzer(clang, variant, target, folder):
    """Build the target fuzz/<target>.c with the kernels of a variant, and return its path."""
    program = folder / f"{target}-{variant}"
    parts = objects(
        clang, variant, folder / f"fuzz-{variant}", [*SANITIZE, "-fsanitize=fuzzer-no-link"]
    )
    source = HERE / "fuzz" / f"{target}.c"
    run(clang, *COMPILE, *SANITIZE, "-fsanitize=fuzzer", source, *parts, "-o", program)
    return program
