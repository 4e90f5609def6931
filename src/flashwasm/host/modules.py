"""The built modules in the package, checked against their digests."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from flashwasm.errors import FlashWasmError

_FOLDER = Path(__file__).parents[1] / "_wasm"

Variant: TypeAlias = Literal["relaxed", "simd128", "scalar"]
# In order from the fastest to the slowest.
VARIANTS: tuple[Variant, ...] = get_args(Variant)


# The manifest's first two lines, which contain the SHA-256 of all following lines.
_HEAD = '{{\n  "sha256": "{}",\n'


def _read(name: str) -> bytes:
    """Return the content of a file in the package."""
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        message = f"{name} cannot be read ({error.strerror}); reinstall flashwasm"
        raise FlashWasmError(message) from error


@cache
def manifest() -> dict[str, Any]:
    """Return the manifest of the built modules: compiler version, compiler flags and digests.

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
    """Return the SHA-256 of a variant's module from the manifest."""
    digest: str = manifest()["modules"][variant]["sha256"]
    return digest


@cache
def module_bytes(variant: Variant) -> bytes:
    """Return the content of a variant's module.

    Raises
    ------
    FlashWasmError
        If the file is missing, or if its digest differs from the manifest.
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
