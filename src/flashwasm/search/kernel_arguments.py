"""Arguments of the kernels that store and search vectors, by name.

The fields are those of the structures in wasm/abi.h, in the same order; wasm/abi.h describes them.
A field ``count`` has a longer name here, because ``count`` is a method of tuples. Arrays are passed
by their addresses in linear memory. Address 0 means an absent array.
"""

from __future__ import annotations

from typing import NamedTuple


class StoreArguments(NamedTuple):
    """Arguments of `INDEX_STORE`, which writes vectors and their codes to an index."""

    x: int
    rows: int
    panels: int
    codes: int
    code_panels: int
    scales: int
    squares: int
    errors: int
    first: int
    vector_count: int
    dim: int
    metric: int
    code_metric: int


class RowSearchArguments(NamedTuple):
    """Arguments of `INDEX_SCORE`, which compares queries with the rows [begin, end)."""

    queries: int
    rows: int
    mask: int
    keys: int
    query_count: int
    begin: int
    end: int
    dim: int
    k: int
    metric: int


class PanelSearchArguments(NamedTuple):
    """Arguments of `FLAT_SEARCH` and `FLAT_SEARCH_I8`, which search positions [begin, end)."""

    queries: int
    panels: int
    scales: int
    squares: int
    errors: int
    mask: int
    candidates: int
    keys: int
    query_count: int
    begin: int
    end: int
    dim: int
    k: int
    metric: int


class GraphArguments(NamedTuple):
    """Arguments of `HNSW_INSERT`, `HNSW_REPAIR` and `HNSW_SEARCH`."""

    rows: int
    codes: int
    scales: int
    squares: int
    links: int
    upper_links: int
    upper_at: int
    levels: int
    entry: int
    items: int
    keys: int
    visited: int
    gone: int
    nodes: int
    dim: int
    metric: int
    m: int
    item_count: int
    k: int
    ef: int
