"""The state machines that Hypothesis drives, by what they test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.reliability.arena_machine import ArenaMachine

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

MACHINES: dict[str, type[RuleBasedStateMachine]] = {
    "arena": ArenaMachine,
}
