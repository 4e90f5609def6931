"""Call kernels with random sizes, strides and flags under libFuzzer and the sanitizers.

    python tests/sanitizers/fuzz_kernels.py --clang "$(.ci/setup-clang)" --seconds 60

Inputs that reach new paths are stored in the folder for the next run.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from native_build import HERE, ROOT, VARIANTS, build_fuzzer, symbolizer


def fuzz(clang, variant, target, folder, *limits):
    """Build a target and run it until one of libFuzzer's limits; return its exit status."""
    program = build_fuzzer(clang, variant, target, folder)
    corpus = folder / f"corpus-{target}"
    corpus.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "ASAN_SYMBOLIZER_PATH": symbolizer(clang)}
    command = [
        program,
        *limits,
        "-max_len=512",
        "-print_funcs=0",
        f"-artifact_prefix={folder}/",
        corpus,
    ]
    return subprocess.run(command, env=environment, check=False).returncode


def main():
    """Run each target on each variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clang", default="clang", help="the compiler; default: %(default)s")
    parser.add_argument("--seconds", type=int, default=60, help="of each; default: %(default)s")
    parser.add_argument("--folder", type=Path, default=ROOT / "wasm" / "build" / "native")
    options = parser.parse_args()
    for target in sorted(path.stem for path in (HERE / "fuzz").glob("*.c")):
        for variant in VARIANTS:
            limit = f"-max_total_time={options.seconds}"
            if fuzz(options.clang, variant, target, options.folder, limit):
                sys.exit(f"{target} on {variant}: see above; the input is in {options.folder}")


if __name__ == "__main__":
    main()
