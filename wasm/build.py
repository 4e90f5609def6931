"""Build the kernels: three modules from one folder of C, and a manifest of what they are.

    python wasm/build.py --emcc emcc            write src/flashwasm/_wasm/
    python wasm/build.py --emcc emcc --check    compare with what is committed there

Each C file is compiled by Emscripten; the objects are linked by the linker of the same toolchain,
since `emcc` itself does not make a module without its runtime that shares its memory. A module
imports one shared memory and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from function_names import function_names, without_custom

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "src" / "flashwasm" / "_wasm"
NEEDED = (3, 1, 60)

# What uses no vectors itself is the same C in every variant.
SHARED = sorted(
    p
    for pattern in ("attention_materialized.c", "index_s*.c", "hnsw_*.c")
    for p in HERE.glob(pattern)
)
FAST = sorted(p for p in HERE.glob("*.c") if p not in SHARED)
OBVIOUS = sorted((HERE / "reference").glob("*.c"))
VARIANTS = {
    "relaxed": (FAST + SHARED, ["-msimd128", "-mrelaxed-simd"]),
    "simd128": (FAST + SHARED, ["-msimd128"]),
    "scalar": (OBVIOUS + SHARED, []),
}
COMPILE = [
    *("-c", "-O3", "-std=c11", "-ffreestanding", "-ffp-contract=off", "-fno-math-errno"),
    *("-matomics", "-mbulk-memory", "-Wall", "-Wextra", "-Werror"),
]
STACK_BYTES = 1 << 16
LINK = [
    *("--no-entry", "--import-memory", "--shared-memory", "--stack-first"),
    *("-z", f"stack-size={STACK_BYTES}"),
    *(f"--initial-memory={STACK_BYTES * 2}", f"--max-memory={1 << 32}"),
    *("--export=__stack_pointer", "--export=__heap_base"),
]
STRIP = "--strip-all"


def run(*command: str | Path) -> str:
    """Run a command and return what it prints; end with its errors where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def emcc_version(emcc: str) -> str:
    """Return emcc's version; end with what is needed where it is missing or too old."""
    needed = ".".join(map(str, NEEDED))
    advice = (
        f"Emscripten {needed} or newer is needed; .ci/setup-emscripten unpacks one on Debian 12."
    )
    try:
        first_line = run(emcc, "--version").splitlines()[0]
    except OSError as error:
        sys.exit(f"cannot run {emcc}: {error.strerror}. {advice}")
    found = re.search(r"\b(\d+)\.(\d+)\.(\d+)", first_line)
    if not found or tuple(map(int, found.groups())) < NEEDED:
        sys.exit(f"{emcc} is {found.group() if found else 'of unknown version'}. {advice}")
    return found.group()


def find_linker(emcc: str) -> Path:
    """Return the wasm-ld of the toolchain that emcc drives, as the em-config beside it says."""
    em_config = Path(shutil.which(emcc) or emcc).with_name("em-config")
    return Path(run(em_config, "LLVM_ROOT")) / "wasm-ld"


def build_variant(
    emcc: str, linker: str, sources: list[Path], flags: list[str], folder: Path
) -> tuple[bytes, list[str]]:
    """Compile and link one module, with no path of this machine in it; name its functions."""
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}.o")
        run(emcc, *COMPILE, *flags, f"-ffile-prefix-map={HERE}=.", source, "-o", objects[-1])
    module = folder / "module.wasm"
    run(linker, *LINK, *objects, "-o", module)
    named = module.read_bytes()
    run(linker, *LINK, STRIP, *objects, "-o", module)
    stripped = module.read_bytes()
    if without_custom(named) != without_custom(stripped):
        sys.exit("the linker makes other code where it keeps the names of functions")
    return stripped, function_names(named)


def build_all(emcc: str) -> dict[str, bytes]:
    """Return the files of OUTPUT by name."""
    version = emcc_version(emcc)
    linker = find_linker(emcc)
    files: dict[str, bytes] = {}
    entries = {}
    for name, (sources, flags) in VARIANTS.items():
        with tempfile.TemporaryDirectory() as folder:
            module, names = build_variant(emcc, linker, sources, flags, Path(folder))
        files[f"{name}.wasm"] = module
        entries[name] = {
            "sha256": hashlib.sha256(module).hexdigest(),
            "compile": " ".join(COMPILE + flags),
            "link": " ".join([*LINK, STRIP]),
            "functions": " ".join(names),
        }
    manifest = {"emcc": version, "modules": entries}
    files["manifest.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    return files


def check(files: dict[str, bytes]) -> None:
    """End with the names of the files that differ from those committed."""
    different = [
        name
        for name, content in files.items()
        if not (OUTPUT / name).is_file() or (OUTPUT / name).read_bytes() != content
    ]
    if different:
        emcc = json.loads((OUTPUT / "manifest.json").read_text())["emcc"]
        sys.exit(f"differs from the committed build (by emcc {emcc}): {', '.join(different)}")
    print(f"the committed modules are what this toolchain builds: {', '.join(sorted(files))}")


def main() -> None:
    """Build, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emcc", default="emcc")
    parser.add_argument("--check", action="store_true", help="compare with the committed modules")
    options = parser.parse_args()
    files = build_all(options.emcc)
    if options.check:
        check(files)
        return
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (OUTPUT / name).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {name} ({len(content)} bytes)")


if __name__ == "__main__":
    main()
