"""The cache of compiled modules. The machine code's digest is checked before it is loaded."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

import wasmtime

from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.cache_file import keep_newest
from flashwasm.storage.user_folders import usable_cache_folder

__all__ = ["cached_module", "keep_module"]

_DIGEST_BYTES = hashlib.sha256().digest_size
# Maximum number of files. A file occupies about 300 kB. There is one for each variant, release and
# kind of processor that shares the user's folder.
_MOST_FILES = 24
# Version of the file layout: the SHA-256 of the code, then the code.
_LAYOUT = b"1"


def cached_module(engine: wasmtime.Engine, digest: str, settings: str) -> wasmtime.Module | None:
    """Return a module from the cache, or None if it has no valid module for this host.

    Parameters
    ----------
    engine : wasmtime.Engine
        Engine to load the module into.
    digest : str
        SHA-256 of the module's WebAssembly, in hexadecimal.
    settings : str
        Text that differs between engines with different settings.
    """
    folder = _trusted_folder()
    if folder is None:
        return None
    try:
        content = (folder / _name(digest, settings)).read_bytes()
    except OSError:
        return None
    code = content[_DIGEST_BYTES:]
    # Machine code bypasses the sandbox's checks, so check the digest: one flipped bit could do
    # anything.
    if hashlib.sha256(code).digest() != content[:_DIGEST_BYTES]:
        return None
    try:
        return wasmtime.Module.deserialize(engine, code)
    except wasmtime.WasmtimeError:  # A different release of wasmtime compiled it.
        return None


def keep_module(module: wasmtime.Module, digest: str, settings: str) -> None:
    """Write a compiled module to the cache. If that fails, the next process compiles it again.

    Parameters
    ----------
    module : wasmtime.Module
        The module.
    digest, settings : str
        As in `cached_module`.
    """
    folder = _trusted_folder()
    if folder is None:
        return
    code = bytes(module.serialize())
    try:
        write_atomically(folder / _name(digest, settings), [hashlib.sha256(code).digest(), code])
        keep_newest(folder, ".code", _MOST_FILES)
    except OSError:
        return


def _trusted_folder() -> Path | None:
    """Return the cache's folder, created if necessary; None if it cannot be used.

    Anyone who can write to the folder could make this process run any machine code. The folder must
    therefore be writable only for this user.
    """
    try:
        if (caches := usable_cache_folder()) is None:
            return None
        folder = caches / "compiled"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except (OSError, ValueError):
        return None
    owned = not hasattr(os, "getuid") or state.st_uid == os.getuid()
    if not owned or (os.name == "posix" and state.st_mode & 0o022):
        return None
    return folder


def _name(digest: str, settings: str) -> str:
    """Return the file name for the code of a module, an engine and a processor."""
    key = hashlib.sha256(_LAYOUT)
    for part in (digest, settings, platform.machine(), _processor_flags()):
        key.update(part.encode() + b"\0")
    return f"{key.hexdigest()[:40]}.code"


@cache
def _processor_flags() -> str:
    """Return a text that lists this processor's instruction sets; "" if it is not available.

    Code that was compiled on an older processor runs on a newer one, but more slowly.
    """
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            first = file.read(1 << 13).decode("latin-1")
    except OSError:
        return platform.processor()
    lines = first.splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
