"""The state machines that Hypothesis drives, by the class that they test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.reliability.arena_machine import ArenaMachine
from bench.reliability.embedding_cache_machine import EmbeddingCacheMachine
from bench.reliability.index_machine import IndexMachine
from bench.reliability.kv_cache_machine import KVCacheMachine

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

MACHINES: dict[str, type[RuleBasedStateMachine]] = {
    "arena": ArenaMachine,
    "KVCache": KVCacheMachine,
    "indexes": IndexMachine,
    "embedding cache": EmbeddingCacheMachine,
}
