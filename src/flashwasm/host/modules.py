"""The built modules that the package carries, checked against their digests."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from flashwasm.errors import FlashWasmError

_FOLDER = Path(__file__).parents[1] / "_wasm"

VARIANTS = ("relaxed", "simd128", "scalar")


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of the built modules: emcc's version, digests and flags."""
    text = (_FOLDER / "manifest.json").read_text("utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def module_sha256(variant: str) -> str:
    """Return the SHA-256 that the manifest states for a variant's module."""
    digest: str = manifest()["modules"][variant]["sha256"]
    return digest


@cache
def module_bytes(variant: str) -> bytes:
    """Return a variant's module.

    Raises
    ------
    FlashWasmError
        If the file is not the one that the manifest describes.
    """
    content = (_FOLDER / f"{variant}.wasm").read_bytes()
    found, expected = hashlib.sha256(content).hexdigest(), module_sha256(variant)
    if found != expected:
        message = (
            f"{variant}.wasm is damaged: its SHA-256 is {found}, the manifest says {expected}; "
            "reinstall flashwasm"
        )
        raise FlashWasmError(message)
    return content
