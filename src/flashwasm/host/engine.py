"""The wasmtime engine with its settings, and each variant's module, compiled once per process."""

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
from flashwasm.host.fused_multiply_add import fuses
from flashwasm.host.modules import VARIANTS, module_bytes, module_sha256
from flashwasm.validation import choice

if TYPE_CHECKING:
    from flashwasm.host.modules import Variant

# Names and values of the engine's settings.
_SETTINGS = {
    "wasm_simd": True,
    "wasm_relaxed_simd": True,
    "wasm_threads": True,
    "shared_memory": True,
    # A forked process has none of the engine's threads, and a compilation would wait for them.
    "parallel_compilation": False,
}
_DETERMINISTIC = "wasm_relaxed_simd_deterministic"


class EngineState:
    """The lock, engine and compiled modules of this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Drop everything, for a forked child, which has none of its parent's threads."""
        # Another thread of the parent may have held the old lock at the time of the fork.
        self.lock = threading.Lock()
        self.engine: wasmtime.Engine | None = None
        # The engine's settings, as text.
        self.settings = ""
        self.modules: dict[str, wasmtime.Module] = {}


process_state = EngineState()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process_state.reset)


def make_engine(*, deterministic: bool) -> wasmtime.Engine:
    """Return a new engine with flashwasm's settings.

    Parameters
    ----------
    deterministic : bool
        True to follow WebAssembly's deterministic profile, which fixes the result of each relaxed
        instruction, even if that is slow on this machine.
    """
    config = wasmtime.Config()
    for name, value in {**_SETTINGS, _DETERMINISTIC: deterministic}.items():
        setattr(config, name, value)
    return wasmtime.Engine(config)


def _current_engine() -> wasmtime.Engine:
    """Return the process's engine, with settings that give the same bits on every host.

    The caller holds the lock. The modules contain two kinds of relaxed instructions. The dot
    product of bytes has the same result everywhere, but is slow in the deterministic profile. The
    multiply-add must round once. If the machine's own multiply-add does, the profile is not needed.
    """
    if process_state.engine is None:
        relaxed = make_engine(deterministic=False)
        fused = fuses(relaxed)
        process_state.engine = relaxed if fused else make_engine(deterministic=True)
        process_state.settings = repr({**_SETTINGS, _DETERMINISTIC: not fused})
    return process_state.engine


def engine() -> wasmtime.Engine:
    """Return the process's engine."""
    with process_state.lock:
        return _current_engine()


def compiled(variant: Variant) -> wasmtime.Module:
    """Return a variant's module, compiled for this machine."""
    with process_state.lock:
        if variant not in process_state.modules:
            process_state.modules[variant] = _compiled_or_cached(variant)
        return process_state.modules[variant]


def _compiled_or_cached(variant: Variant) -> wasmtime.Module:
    """Return a variant's module from the cache; if it is missing, compile and cache it."""
    content, digest = module_bytes(variant), module_sha256(variant)
    current = _current_engine()
    module = cached_module(current, digest, process_state.settings)
    if module is None:
        module = wasmtime.Module(current, content)
        keep_module(module, digest, process_state.settings)
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
    # Compiling also validates a module, and costs no time if the cache has the compiled code.
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
    # Import the module only here, because it is slow to import and the version is rarely needed.
    version: str = importlib.import_module("importlib.metadata").version("wasmtime")
    return version
