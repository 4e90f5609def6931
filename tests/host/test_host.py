"""The engine: both ways to call kernels, and its cache of compiled code."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
from call_paths import runtime_calling
from every_operation import OPERATIONS, in_child
from flashwasm.host import compiled_cache, engine
from flashwasm.kernel_table import VECADD
from sample_arrays import assert_same_bits, normal


def first_result(name, runtime):
    result = OPERATIONS[name](runtime=runtime)
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("variant", ["relaxed", "simd128", "scalar"])
def test_both_ways_to_call_give_the_same_bits(variant):
    """Kernels are called by wasmtime's unchecked function or, if it lacks that, the public one."""
    with (
        fw.Runtime(threads=1, variant=variant) as usual,
        runtime_calling(fast=False, variant=variant) as other,
    ):
        for name in OPERATIONS:
            assert_same_bits(first_result(name, other), first_result(name, usual))


@pytest.mark.parametrize("fast", [True, False])
def test_a_trap_is_an_error_and_leaves_the_runtime_usable(fast):
    with runtime_calling(fast=fast) as rt:
        far = (1 << 31) - 64
        for _ in range(3):
            with pytest.raises(fw.KernelTrap, match="out of bounds"):
                rt.workers.first.call(VECADD, (far, far, far, 16))
            assert_same_bits(fw.vecadd([1.0], [2.0], runtime=rt), np.float32([3]))


@pytest.mark.parametrize("folder", ["file", "/dev/null/nowhere", "read-only"])
def test_kernels_run_without_a_cache_that_can_be_written(tmp_path, folder):
    cache = tmp_path / folder
    if folder == "file":
        cache.write_text("not a folder")
    elif folder == "read-only":
        cache.mkdir(mode=0o500)
    printed = in_child("print(fw.vecadd([1.0], [2.0])[0])", FLASHWASM_CACHE=str(cache))
    assert printed.strip() == "3.0"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_cache_that_others_may_write_is_not_trusted(tmp_path):
    """Compiled code is run as it is, so only this user may be able to write to its folder."""
    folder = tmp_path / "compiled"
    folder.mkdir()
    folder.chmod(0o777)
    in_child("fw.vecadd([1.0], [2.0])", FLASHWASM_CACHE=str(tmp_path))
    assert not list(folder.iterdir())


def test_the_modules_are_compiled_once(tmp_path):
    """A second process finds the first one's compiled code and writes none."""

    def run():
        in_child("fw.vecadd([1.0], [2.0])", FLASHWASM_CACHE=str(tmp_path))
        return {path: path.stat().st_mtime_ns for path in tmp_path.glob("compiled/*")}

    first = run()
    assert len(first) == 1
    assert run() == first


def test_changed_machine_code_is_not_loaded(tmp_path):
    """A file of the cache in which any bit was flipped is compiled again, and then whole again."""
    code = "print(fw.matmul(np.eye(40, dtype=np.float32), np.ones((40, 40))).sum())"
    in_child(code, FLASHWASM_CACHE=str(tmp_path))
    (file,) = tmp_path.glob("compiled/*")
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in (0, 40, len(whole) - 1, *rng.integers(0, len(whole), 5)):
        content = bytearray(whole)
        content[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)
        assert in_child(code, FLASHWASM_CACHE=str(tmp_path)).strip() == "1600.0"
        assert file.read_bytes() == whole
    file.write_bytes(whole[: len(whole) // 2])
    assert in_child(code, FLASHWASM_CACHE=str(tmp_path)).strip() == "1600.0"


def test_any_flipped_bit_is_seen(tmp_path, monkeypatch):
    """Every one of many single flips makes the cache refuse the file, before code is loaded."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    module = engine.compiled("relaxed")
    compiled_cache.keep_module(module, "digest", "settings")
    assert compiled_cache.cached_module(engine.engine(), "digest", "settings") is not None
    (file,) = tmp_path.glob("compiled/*")
    whole = file.read_bytes()
    for at in np.random.default_rng(1).integers(0, 8 * len(whole), 200):
        content = bytearray(whole)
        content[at // 8] ^= 1 << (at % 8)
        file.write_bytes(content)
        assert compiled_cache.cached_module(engine.engine(), "digest", "settings") is None


def test_the_cache_does_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled_cache, "_MOST_FILES", 3)
    module = engine.compiled("scalar")
    for number in range(6):
        compiled_cache.keep_module(module, f"digest {number}", "settings")
    assert len(list(tmp_path.glob("compiled/*"))) == 3


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="bytes as in Linux")
def test_a_cache_folder_whose_name_is_not_utf_8(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    printed = in_child("print(fw.vecadd([1.0], [2.0])[0])", FLASHWASM_CACHE=folder)
    assert printed.strip() == "3.0"
    assert list(Path(folder).glob("compiled/*"))


def test_large_results_survive_growing_memory():
    """Linear memory grows while arrays lie in it, and must not move."""
    with fw.Runtime(threads=1) as rt:
        first = rt.asarray(normal(1000))
        others = [rt.empty((1 << 20,)) for _ in range(20)]
        assert_same_bits(np.array(first), normal(1000))
        assert rt.holds(others[-1])
        assert rt.stats().bytes_reserved >= 20 << 22
