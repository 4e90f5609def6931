"""The engine: wasmtime with our settings, and each variant's module, compiled once a process."""

from __future__ import annotations

import importlib
import os
import threading
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Literal

import wasmtime

from flashwasm.errors import CapabilityError
from flashwasm.host.compiled_cache import cached_module, keep_module
from flashwasm.host.modules import VARIANTS, module_bytes, module_sha256
from flashwasm.validation import choice

if TYPE_CHECKING:
    from flashwasm.host.modules import Variant

# Names and values of the engine's settings.
_SETTINGS = {
    "wasm_simd": True,
    "wasm_relaxed_simd": True,
    # A relaxed multiply-add is always fused: without this, a host could round twice instead.
    "wasm_relaxed_simd_deterministic": True,
    "wasm_threads": True,
    "shared_memory": True,
    # In a forked process the engine's threads do not exist, and compiling would wait for them.
    "parallel_compilation": False,
}


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
    for name, value in _SETTINGS.items():
        setattr(config, name, value)
    return config


def _current_engine() -> wasmtime.Engine:
    """Return the process's engine; the caller holds the lock."""
    if _state.engine is None:
        _state.engine = wasmtime.Engine(_configuration())
    return _state.engine


def engine() -> wasmtime.Engine:
    """Return the process's engine."""
    with _state.lock:
        return _current_engine()


def compiled(variant: Variant) -> wasmtime.Module:
    """Return a variant's module, compiled for this machine."""
    with _state.lock:
        if variant not in _state.modules:
            _state.modules[variant] = _compiled_or_cached(variant)
        return _state.modules[variant]


def _compiled_or_cached(variant: Variant) -> wasmtime.Module:
    """Return a variant's module from the cache, or else compile it and keep it there."""
    content, digest = module_bytes(variant), module_sha256(variant)
    module = cached_module(_current_engine(), digest, repr(_SETTINGS))
    if module is None:
        module = wasmtime.Module(_current_engine(), content)
        keep_module(module, digest, repr(_SETTINGS))
    return module


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
