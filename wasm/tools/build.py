"""Build the kernels: three modules from one folder of C, and a manifest that describes them.

    python wasm/tools/build.py --emcc emcc            write src/flashwasm/_wasm/
    python wasm/tools/build.py --emcc emcc --check    compare with what is committed there

Emscripten compiles each C file. The linker of the same toolchain then links the objects, because
`emcc` itself cannot make a module that has no runtime and shares its memory. A module imports one
shared memory and nothing else.
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

WASM = Path(__file__).resolve().parent.parent
OUTPUT = WASM.parent / "src" / "flashwasm" / "_wasm"
OLDEST_EMSCRIPTEN = (3, 1, 60)

# These files use no vector instructions, so every variant is compiled from them.
PORTABLE = [
    WASM / "attention" / "materialized.c",
    WASM / "indexes" / "score.c",
    WASM / "indexes" / "store.c",
    *(WASM / "indexes" / "hnsw").glob("*.c"),
]
REFERENCE = list((WASM / "reference").glob("*.c"))
FAST = [path for path in WASM.rglob("*.c") if path not in {*PORTABLE, *REFERENCE}]


def by_path(sources: list[Path]) -> list[Path]:
    """Return the sources in the order of their paths, which is the order of functions in a module.

    The same sources then give the same bytes on every machine.
    """
    return sorted(sources, key=lambda path: path.relative_to(WASM).parts)


# For each variant its sources, and the flags that only it is compiled with.
VARIANTS = {
    "relaxed": (by_path(FAST + PORTABLE), ["-msimd128", "-mrelaxed-simd"]),
    "simd128": (by_path(FAST + PORTABLE), ["-msimd128"]),
    "scalar": (by_path(REFERENCE + PORTABLE), []),
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


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Run a command and return what it prints; exit with its output if it fails."""
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, cwd=folder
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def emcc_version(emcc: str) -> str:
    """Return emcc's version; exit with advice if emcc is missing or too old."""
    oldest = ".".join(map(str, OLDEST_EMSCRIPTEN))
    advice = (
        f"Emscripten {oldest} or newer is needed; .ci/setup-emscripten unpacks one on Debian 12."
    )
    try:
        first_line = run(emcc, "--version").splitlines()[0]
    except OSError as error:
        sys.exit(f"cannot run {emcc}: {error.strerror}. {advice}")
    found = re.search(r"\b(\d+)\.(\d+)\.(\d+)", first_line)
    if not found or tuple(map(int, found.groups())) < OLDEST_EMSCRIPTEN:
        sys.exit(f"{emcc} is {found.group() if found else 'of unknown version'}. {advice}")
    return found.group()


def find_linker(emcc: str) -> Path:
    """Return the wasm-ld that belongs to emcc's toolchain; the em-config beside emcc names it."""
    em_config = Path(shutil.which(emcc) or emcc).with_name("em-config")
    return Path(run(em_config, "LLVM_ROOT")) / "wasm-ld"


def build_variant(
    emcc: str, linker: Path, sources: list[Path], flags: list[str], folder: Path
) -> tuple[bytes, list[str]]:
    """Compile and link one module; return its bytes and the names of its functions.

    The module is linked twice, with names and without, since the one that is shipped has none. No
    path of this machine gets into it.
    """
    objects = [folder / f"{source.stem}.o" for source in sources]
    if len(set(objects)) < len(objects):
        sys.exit("two C files of one module have the same name")
    # One call compiles all files, because each start of emcc takes as long as a file.
    run(emcc, *COMPILE, *flags, f"-ffile-prefix-map={WASM}=.", *sources, folder=folder)
    module = folder / "module.wasm"
    run(linker, *LINK, *objects, "-o", module)
    named = module.read_bytes()
    run(linker, *LINK, STRIP, *objects, "-o", module)
    stripped = module.read_bytes()
    if without_custom(named) != without_custom(stripped):
        sys.exit("the linker generates different code when it keeps the names of functions")
    return stripped, function_names(named)


def build_all(emcc: str) -> dict[str, bytes]:
    """Return the content of each file of OUTPUT, by file name."""
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
    files["manifest.json"] = manifest_of(version, entries)
    files["modules.cdx.json"] = bill_of_materials(version, entries)
    return files


def manifest_of(version: str, entries: dict[str, dict[str, str]]) -> bytes:
    """Return the manifest's text, whose second line states the SHA-256 of the lines after it."""
    first, rest = json.dumps({"emcc": version, "modules": entries}, indent=2).split("\n", 1)
    rest += "\n"
    return f'{first}\n  "sha256": "{hashlib.sha256(rest.encode()).hexdigest()}",\n{rest}'.encode()


def bill_of_materials(version: str, entries: dict[str, dict[str, str]]) -> bytes:
    """Return the modules and the compiler in the format CycloneDX, which goes into the wheel."""
    modules = [
        {
            "type": "file",
            "bom-ref": f"flashwasm/_wasm/{name}.wasm",
            "name": f"flashwasm/_wasm/{name}.wasm",
            "mime-type": "application/wasm",
            "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
            "licenses": [{"license": {"id": "MIT"}}],
        }
        for name, entry in entries.items()
    ]
    compiler = {"type": "application", "name": "emcc", "version": version}
    package = {"type": "library", "bom-ref": "flashwasm", "name": "flashwasm"}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": package, "tools": {"components": [compiler]}},
        "components": modules,
        "dependencies": [{"ref": "flashwasm", "dependsOn": [m["bom-ref"] for m in modules]}],
    }
    return (json.dumps(bill, indent=2) + "\n").encode()


def check(files: dict[str, bytes]) -> None:
    """Compare the files with those committed; exit with the names of those that differ."""
    different = [
        name
        for name, content in files.items()
        if not (OUTPUT / name).is_file() or (OUTPUT / name).read_bytes() != content
    ]
    if different:
        emcc = json.loads((OUTPUT / "manifest.json").read_text())["emcc"]
        sys.exit(f"differs from the committed build (by emcc {emcc}): {', '.join(different)}")
    print(f"this toolchain reproduces the committed files: {', '.join(sorted(files))}")


def main() -> None:
    """Build the modules, then write them or compare them with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emcc", default="emcc", help="the compiler to run; default: %(default)s")
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
