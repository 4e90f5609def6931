"""Attention, top-k, indexes and embedding on several processes or machines.

Each function needs an executor: a pool of `concurrent.futures`, `LocalWorkers`, a
``dask.distributed.Client``, or any object with a method ``submit`` that returns futures. The bits
of the results do not depend on the executor, the number of workers, or the loss of some of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flashwasm.lazy_imports import attach

_HOMES = {
    "flashwasm.distributed.attention_parts": ["attention"],
    "flashwasm.distributed.embedding": ["WorkersEncoder"],
    "flashwasm.distributed.index_shards": ["build_index", "search_index"],
    "flashwasm.distributed.local_workers": ["LocalWorkers"],
    "flashwasm.distributed.top_k_parts": ["top_k"],
}
if TYPE_CHECKING:
    from flashwasm.distributed.attention_parts import attention as attention
    from flashwasm.distributed.embedding import WorkersEncoder as WorkersEncoder
    from flashwasm.distributed.index_shards import build_index as build_index
    from flashwasm.distributed.index_shards import search_index as search_index
    from flashwasm.distributed.local_workers import LocalWorkers as LocalWorkers
    from flashwasm.distributed.top_k_parts import top_k as top_k
else:
    # This branch is hidden from type checkers: one that saw `__getattr__` would accept every name.
    __getattr__, __dir__, _NAMES = attach(__name__, _HOMES)
    __all__ = [*_NAMES]  # noqa: PLE0604 - the names stand once, in the table above.
