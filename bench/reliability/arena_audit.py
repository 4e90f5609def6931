"""A check that every byte of an arena is accounted for: no blocks overlap and no byte is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.runtime.arena import ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flashwasm.runtime.arena import Arena
    from flashwasm.runtime.runtime import Runtime

__all__ = ["audit", "audit_runtime", "whole"]

# Address of an arena's first byte, above the modules' own stack and data.
_FIRST_FREE = 2 << 16


def whole(size: int) -> int:
    """Return the bytes that a block of ``size`` bytes occupies: whole cache lines, at least one."""
    return max(-(-size // ALIGNMENT), 1) * ALIGNMENT


def audit(arena: Arena, begin: int, others: Iterable[tuple[int, int]]) -> None:
    """Raise AssertionError unless each byte of an arena is free, cached or in one block.

    Parameters
    ----------
    arena : Arena
        The arena. No other thread may use it during the check.
    begin : int
        Address of its first byte.
    others : iterable of (int, int)
        Offset and size of each block that does not belong to an array.
    """
    arena.settle()
    arrays = [(block.offset, block.size) for block in arena.blocks.values()]
    held = [(offset, whole(size)) for offset, size in (*arrays, *others)]
    # The audit reads private state, because it must not rely on the methods that it checks.
    kept = [(offset, size) for size, every in arena._kept.items() for offset in every]
    at = begin
    for offset, size in sorted([*held, *kept, *arena._free]):
        assert offset == at, f"bytes {at} to {offset} are nowhere, or are in two pieces"
        at += size
    assert at == arena._end, f"bytes {at} to {arena._end} are nowhere"
    assert sum(size for _, size in kept) == arena._kept_bytes


def audit_runtime(runtime: Runtime) -> None:
    """Raise AssertionError unless each byte of a runtime's memory is accounted for."""
    with runtime.lock:
        assert not runtime.temporary, "a call has ended, and its temporary memory is still there"
        audit(runtime.arena, _FIRST_FREE + runtime.stats().bytes_workspace, ())
