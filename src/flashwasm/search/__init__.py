"""Vector indexes: exact (flat), approximate (HNSW), and sharded indexes of either kind."""

from __future__ import annotations

from flashwasm.search.flat.flat_index import FlatIndex
from flashwasm.search.hnsw.hnsw_index import HNSWIndex
from flashwasm.search.search_report import SearchReport
from flashwasm.search.sharded.sharded_index import ShardedIndex

__all__ = ["FlatIndex", "HNSWIndex", "SearchReport", "ShardedIndex"]
