"""The built modules that come with the package, checked against their digests."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from flashwasm.errors import CapabilityError, FlashWasmError

_FOLDER = Path(__file__).parents[1] / "_wasm"

Variant: TypeAlias = Literal["relaxed", "simd128", "scalar"]
# From the fastest to the slowest.
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def _content(name: str) -> bytes:
    """Return the content of a file of the package, or raise CapabilityError without it."""
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        message = f"{name} of the package cannot be read ({error}); reinstall flashwasm"
        raise CapabilityError(message) from None


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of the built modules: the compiler's version and flags, and digests."""
    content: dict[str, Any] = json.loads(_content("manifest.json"))
    return content


def module_sha256(variant: Variant) -> str:
    """Return the SHA-256 of a variant's module, as the manifest states it."""
    digest: str = manifest()["modules"][variant]["sha256"]
    return digest


@cache
def module_bytes(variant: Variant) -> bytes:
    """Return the content of a variant's module.

    Raises
    ------
    FlashWasmError
        If the digest of the file is not the one in the manifest.
    """
    content = _content(f"{variant}.wasm")
    found, expected = hashlib.sha256(content).hexdigest(), module_sha256(variant)
    if found != expected:
        message = (
            f"{variant}.wasm is damaged: its SHA-256 is {found}, the manifest says {expected}; "
            "reinstall flashwasm"
        )
        raise FlashWasmError(message)
    return content
