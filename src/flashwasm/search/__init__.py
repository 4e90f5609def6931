"""Indexes of vectors: exact search, and search of a graph."""

from __future__ import annotations

from flashwasm.search.flat import FlatIndex
from flashwasm.search.hnsw import HNSWIndex
from flashwasm.search.report import SearchReport
from flashwasm.search.sharded import ShardedIndex

__all__ = ["FlatIndex", "HNSWIndex", "SearchReport", "ShardedIndex"]
