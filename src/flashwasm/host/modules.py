"""The built modules that come with the package, checked against their digests."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from flashwasm.errors import FlashWasmError

_FOLDER = Path(__file__).parents[1] / "_wasm"

Variant: TypeAlias = Literal["relaxed", "simd128", "scalar"]
# From the fastest to the slowest.
VARIANTS: tuple[Variant, ...] = get_args(Variant)


# The manifest's first two lines. They state the SHA-256 of all lines after them.
_HEAD = '{{\n  "sha256": "{}",\n'


def _read(name: str) -> bytes:
    """Return the content of a file that comes with the package."""
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        message = f"{name} cannot be read ({error.strerror}); reinstall flashwasm"
        raise FlashWasmError(message) from error


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of the built modules: the compiler's version and flags, and digests.

    Raises
    ------
    FlashWasmError
        If the file is missing, or if any byte of it was changed.
    """
    text = _read("manifest.json")
    length = len(_HEAD.format("0" * 64))
    if text[:length] != _HEAD.format(hashlib.sha256(text[length:]).hexdigest()).encode():
        message = (
            "manifest.json is damaged: the SHA-256 in its second line is not that of the lines "
            "after it; reinstall flashwasm"
        )
        raise FlashWasmError(message)
    content: dict[str, Any] = json.loads(text)
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
        If the file is missing, or if its digest is not the one in the manifest.
    """
    content = _read(f"{variant}.wasm")
    found, expected = hashlib.sha256(content).hexdigest(), module_sha256(variant)
    if found != expected:
        message = (
            f"{variant}.wasm is damaged: its SHA-256 is {found}, the manifest says {expected}; "
            "reinstall flashwasm"
        )
        raise FlashWasmError(message)
    return content
