"""Run the tests of all operations on the kernels as native code, under sanitizers.

python tests/sanitizers/native_suite.py --clang "$(.ci/setup-clang)" [pytest's options]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from native_build import HERE, ROOT, VARIANTS, asan_runtime, build_library, symbolizer

# The folders whose tests call kernels.
FOLDERS = ("tests/ops", "tests/attention", "tests/search", "tests/adapt")


def run_tests(clang, libraries, arguments, output=None, **variables):
    """Run pytest with the plugin native_host, and return its exit status.

    Parameters
    ----------
    clang : path
        The compiler that built the libraries.
    libraries : path
        Folder of the libraries.
    arguments : list of str
        What pytest is given: its options, files and folders.
    output : file, optional
        File that everything printed is written to; None means the terminal.
    variables : str
        More variables of the environment.
    """
    environment = {
        **os.environ,
        "LD_PRELOAD": asan_runtime(clang),
        # Python itself leaves memory to the end of the process.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "ASAN_SYMBOLIZER_PATH": symbolizer(clang),
        "FLASHWASM_NATIVE": str(libraries),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(HERE))),
        **variables,
    }
    # A report ends the process: it must go past pytest's capture.
    options = ("-p", "native_host", "--capture=sys")
    command = [sys.executable, "-m", "pytest", *options, *map(str, arguments)]
    streams = {"stdout": output, "stderr": subprocess.STDOUT} if output else {}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, **streams).returncode


def main():
    """Build the libraries, and run the tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clang", default="clang", help="the compiler; default: %(default)s")
    parser.add_argument("--folder", type=Path, default=ROOT / "wasm" / "build" / "native")
    options, arguments = parser.parse_known_args()
    for variant in VARIANTS:
        build_library(options.clang, variant, options.folder)
    sys.exit(run_tests(options.clang, options.folder, [*FOLDERS, *arguments]))


if __name__ == "__main__":
    main()
