"""The engine: how wasmtime is configured, and each variant compiled once a process."""

from __future__ import annotations

import importlib
import json
import os
import threading
from contextlib import suppress
from functools import cache

import wasmtime

from flashwasm.host.modules import VARIANTS, module_bytes
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.user_folders import cache_folder

_lock = threading.Lock()


def _configuration() -> wasmtime.Config:
    """Return settings that give the same bits on every host."""
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    # Always fuse relaxed multiply-adds, with the host's instruction or without.
    config.wasm_relaxed_simd_deterministic = True
    config.wasm_threads = True
    config.shared_memory = True
    # Compiling on threads of its own would hang in a process that forked.
    config.parallel_compilation = False
    return config


def _cache_settings() -> str | None:
    """Write wasmtime's cache settings for a folder that only this user can write, and name them.

    Returns None where no such folder can be had: then nothing is cached.
    """
    folder = cache_folder() / "compiled"
    # Beside the folder, not in it: the cache removes files there that it does not know.
    settings = cache_folder() / "compiled.toml"
    # A JSON string is a TOML string.
    text = f"[cache]\ndirectory = {json.dumps(folder.as_posix())}\n"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        owned = not hasattr(os, "getuid") or state.st_uid == os.getuid()
        if not owned or (os.name == "posix" and state.st_mode & 0o022):
            return None
        if not settings.is_file() or settings.read_text("utf-8") != text:
            write_atomically(settings, [text.encode()])
    except OSError:
        return None
    return str(settings)


@cache
def _engine() -> wasmtime.Engine:
    settings = _cache_settings()
    # An unusable cache must not keep the kernels from running.
    with suppress(wasmtime.WasmtimeError):
        config = _configuration()
        if settings is not None:
            config.cache = settings
        return wasmtime.Engine(config)
    return wasmtime.Engine(_configuration())


@cache
def _compiled(variant: str) -> wasmtime.Module:
    return wasmtime.Module(_engine(), module_bytes(variant))


def engine() -> wasmtime.Engine:
    """Return the process's engine."""
    with _lock:
        return _engine()


def compiled(variant: str) -> wasmtime.Module:
    """Return a variant's module, compiled for this machine."""
    with _lock:
        return _compiled(variant)


@cache
def validates(variant: str) -> bool:
    """Return whether this engine takes the variant's real module."""
    try:
        wasmtime.Module.validate(engine(), module_bytes(variant))
    except wasmtime.WasmtimeError:
        return False
    return True


def best_variant() -> str:
    """Return the fastest variant that this engine takes."""
    # Compiling it, which the cache spares, tells as much as validating it would.
    for variant in VARIANTS[:-1]:
        with suppress(wasmtime.WasmtimeError):
            compiled(variant)
            return variant
    return VARIANTS[-1]


def wasmtime_version() -> str:
    """Return the version of wasmtime that runs the kernels."""
    # Asked for seldom, and slow to import.
    version: str = importlib.import_module("importlib.metadata").version("wasmtime")
    return version


def _forget_after_fork() -> None:
    """Leave the parent's engine alone: its threads do not exist in this process."""
    global _lock  # noqa: PLW0603 - the parent may have held it.
    _lock = threading.Lock()
    _engine.cache_clear()
    _compiled.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
