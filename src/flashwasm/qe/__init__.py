"""Quality-engineering workloads: a test suite as vectors."""

from flashwasm.qe.similar import Match, SuiteIndex
from flashwasm.qe.suite import CollectedTest, Skipped, Suite, collect

__all__ = ["CollectedTest", "Match", "Skipped", "Suite", "SuiteIndex", "collect"]
