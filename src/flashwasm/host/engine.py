"""The engine: wasmtime with our settings, and each variant's module, compiled once a process."""

from __future__ import annotations

import importlib
import json
import os
import threading
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Literal

import wasmtime

from flashwasm.errors import CapabilityError
from flashwasm.host.modules import VARIANTS, module_bytes
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.user_folders import cache_folder
from flashwasm.validation import choice

if TYPE_CHECKING:
    from flashwasm.host.modules import Variant


class _State:
    """The lock, engine and compiled modules of this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as a forked child must: its parent's threads do not exist here."""
        # Another thread of the parent may have held the old lock at the fork.
        self.lock = threading.Lock()
        self.engine: wasmtime.Engine | None = None
        self.modules: dict[str, wasmtime.Module] = {}


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.reset)


def _configuration() -> wasmtime.Config:
    """Return settings that make every host compute the same bits."""
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    # A relaxed multiply-add is always fused: without this, a host could round twice instead.
    config.wasm_relaxed_simd_deterministic = True
    config.wasm_threads = True
    config.shared_memory = True
    # In a forked process the engine's threads do not exist, and compiling would wait for them.
    config.parallel_compilation = False
    return config


def _cache_settings() -> str | None:
    """Return the path of wasmtime's cache settings, and write the file if it is missing.

    The cache must be a folder that only this user can write to, because whoever can write to it
    decides which machine code runs here. If there is no such folder, return None: wasmtime then
    caches nothing.
    """
    try:
        base = cache_folder()
    except CapabilityError:
        return None
    folder = base / "compiled"
    # The file lies beside the folder, because wasmtime removes unknown files from the folder.
    settings = base / "compiled.toml"
    # Every JSON string is a TOML string too.
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


def _new_engine() -> wasmtime.Engine:
    """Return a new engine, which caches compiled modules if it can."""
    settings = _cache_settings()
    # If the cache cannot be used, the kernels must run without it.
    with suppress(wasmtime.WasmtimeError):
        config = _configuration()
        if settings is not None:
            config.cache = settings
        return wasmtime.Engine(config)
    return wasmtime.Engine(_configuration())


def _current_engine() -> wasmtime.Engine:
    """Return the process's engine; the caller holds the lock."""
    if _state.engine is None:
        _state.engine = _new_engine()
    return _state.engine


def engine() -> wasmtime.Engine:
    """Return the process's engine."""
    with _state.lock:
        return _current_engine()


def compiled(variant: Variant) -> wasmtime.Module:
    """Return a variant's module, compiled for this machine."""
    with _state.lock:
        if variant not in _state.modules:
            module = wasmtime.Module(_current_engine(), module_bytes(variant))
            _state.modules[variant] = module
        return _state.modules[variant]


@cache
def validates(variant: Variant) -> bool:
    """Return True if this engine accepts the module of a variant."""
    try:
        wasmtime.Module.validate(engine(), module_bytes(variant))
    except wasmtime.WasmtimeError:
        return False
    return True


def best_variant() -> Variant:
    """Return the fastest variant that this engine accepts."""
    # Compiling validates a module as well, and takes no time if the cache has the compiled code.
    for variant in VARIANTS[:-1]:
        with suppress(wasmtime.WasmtimeError):
            compiled(variant)
            return variant
    return VARIANTS[-1]


def checked_variant(variant: Literal["auto"] | Variant) -> Variant:
    """Return the variant to run; raise CapabilityError if the engine does not accept it."""
    choice(variant, "variant", ("auto", *VARIANTS))
    if variant == "auto":
        return best_variant()
    if not validates(variant):
        message = f"variant {variant!r} needs WebAssembly instructions that this wasmtime lacks"
        raise CapabilityError(message)
    return variant


def wasmtime_version() -> str:
    """Return the version of wasmtime that runs the kernels."""
    # The module is slow to import, and the version is seldom asked for.
    version: str = importlib.import_module("importlib.metadata").version("wasmtime")
    return version
