"""The names of a module's functions, read from a module that was linked with names.

The modules that are shipped contain no names. The linker can keep them in the custom section
"name" (WebAssembly core specification, appendix "Name Section"); the other sections are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

_CUSTOM = 0
_FUNCTION_NAMES = 1


def sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of each section of a module."""
    at = 8
    while at < len(module):
        size, start = _unsigned(module, at + 1)
        yield module[at], module[start : start + size]
        at = start + size


def without_custom(module: bytes) -> list[tuple[int, bytes]]:
    """Return a module's sections without the custom ones, which change nothing of what it does."""
    return [section for section in sections(module) if section[0] != _CUSTOM]


def function_names(module: bytes) -> list[str]:
    """Return the names of all functions by index. No function may be imported.

    Raises
    ------
    ValueError
        If the module has no names, or if some function has none.
    """
    for number, content in sections(module):
        size, start = _unsigned(content, 0)
        if number == _CUSTOM and content[start : start + size] == b"name":
            return list(_names(content, start + size))
    raise ValueError("the module has no name section")


def _names(content: bytes, at: int) -> Iterator[str]:
    """Yield the function names of a name section, whose subsections begin at `at`."""
    while at < len(content):
        kind = content[at]
        size, at = _unsigned(content, at + 1)
        if kind != _FUNCTION_NAMES:
            at += size
            continue
        count, at = _unsigned(content, at)
        for expected in range(count):
            index, at = _unsigned(content, at)
            if index != expected:
                raise ValueError(f"function {expected} has no name")
            length, at = _unsigned(content, at)
            yield content[at : at + length].decode()
            at += length
        return


def _unsigned(content: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned LEB128 number at `at`, and the place after its last byte."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
