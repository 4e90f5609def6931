"""The modules' files and their manifest: a changed, missing or swapped file is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
from checkout import SOURCE
from flashwasm.host import modules
from flashwasm.host.modules import VARIANTS, manifest, module_bytes

MODULES = SOURCE / "_wasm"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a copy of the modules' folder, from which they are read in this test."""
    copy = tmp_path / "modules"
    shutil.copytree(MODULES, copy)
    monkeypatch.setattr(modules, "_FOLDER", copy)
    forget()
    yield copy
    monkeypatch.undo()
    forget()


def forget():
    """Make the next use read the files again."""
    manifest.cache_clear()
    module_bytes.cache_clear()


def test_the_shipped_files_are_accepted(folder):
    for variant in VARIANTS:
        assert module_bytes(variant) == (folder / f"{variant}.wasm").read_bytes()


def test_any_changed_byte_of_the_manifest_is_refused(folder):
    whole = (folder / "manifest.json").read_bytes()
    rng = np.random.default_rng(0)
    # All bytes of the first lines, which hold the digest, and a share of the others.
    for at in [*range(120), *range(120, len(whole), 7)]:
        content = bytearray(whole)
        content[at] ^= 1 << int(rng.integers(8))
        (folder / "manifest.json").write_bytes(content)
        forget()
        with pytest.raises(fw.FlashWasmError, match=r"manifest\.json is damaged.*reinstall"):
            module_bytes("relaxed")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xfe", b'{\n  "sha256": "'])
def test_another_manifest_is_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(fw.FlashWasmError, match=r"manifest\.json is damaged"):
        module_bytes("relaxed")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_changed_module_is_refused(folder, variant):
    """It is refused with any of many single bytes changed, cut short, longer, or empty."""
    path = folder / f"{variant}.wasm"
    whole = path.read_bytes()
    places = np.random.default_rng(1).integers(0, 8 * len(whole), 100)
    changed = [flipped(whole, int(at)) for at in places]
    for content in [*changed, whole[:-1], whole + b"\0", b""]:
        path.write_bytes(content)
        module_bytes.cache_clear()
        with pytest.raises(fw.FlashWasmError, match=rf"{variant}\.wasm is damaged.*SHA-256"):
            module_bytes(variant)


def flipped(content, bit):
    """Return some bytes with one bit flipped."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_swapped_modules_are_refused(folder):
    relaxed, plain = folder / "relaxed.wasm", folder / "simd128.wasm"
    content = relaxed.read_bytes()
    relaxed.write_bytes(plain.read_bytes())
    plain.write_bytes(content)
    for variant in ("relaxed", "simd128"):
        with pytest.raises(fw.FlashWasmError, match="damaged"):
            module_bytes(variant)
    module_bytes("scalar")


@pytest.mark.parametrize("name", ["manifest.json", "scalar.wasm"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(fw.FlashWasmError, match=rf"{name} cannot be read .*reinstall"):
        module_bytes("scalar")


@pytest.mark.parametrize("name", ["manifest.json", "relaxed.wasm"])
def test_the_command_ends_with_one_line(tmp_path, name):
    shutil.copytree(Path(fw.__file__).parent, tmp_path / "flashwasm")
    damaged = tmp_path / "flashwasm" / "_wasm" / name
    damaged.write_bytes(flipped(damaged.read_bytes(), 8000))
    command = [sys.executable, "-m", "flashwasm", "probe"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"{name} is damaged" in line
