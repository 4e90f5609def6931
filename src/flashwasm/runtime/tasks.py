"""Cutting work into tasks, which the calling thread and the helper threads share."""

from __future__ import annotations

import math

from flashwasm.runtime.work_limits import (
    FEWEST_ELEMENTS,
    FEWEST_PRODUCTS,
    HEAP_LEVEL,
    LONGEST_CHAIN,
    MOST_ELEMENTS,
    MOST_PRODUCTS,
    SHORTEST_ROW,
    SHORTEST_SIDE,
)

# Rows and columns of the tiles that the product kernels compute: struct tile of wasm/shared/tile.h.
_TILE_ROWS, _TILE_COLUMNS = 4, 8


def most_in_one_call(threads: int) -> int:
    """Return the maximum number of elements to process in one call, on the calling thread.

    With one thread, the work cannot be shared, so only timeouts and Ctrl-C limit a call.
    """
    return FEWEST_ELEMENTS if threads > 1 else MOST_ELEMENTS


def row_tasks(rows: int, columns: int, threads: int) -> list[tuple[int, int]]:
    """Cut rows into pieces (first row, number of rows).

    There are about two pieces per thread, so that all threads end at nearly the same time. There
    are more or fewer if the limits on the size of a piece require it.

    Parameters
    ----------
    rows, columns : int
        Number of rows, and number of elements in each.
    threads : int
        Number of threads that process the pieces.
    """
    if rows * columns <= most_in_one_call(threads):
        return [(0, rows)]
    wanted = min(rows * columns // (2 * threads), MOST_ELEMENTS)
    step = max(wanted, FEWEST_ELEMENTS) // max(columns, 1)
    # Narrow rows are cut in groups of 16, so that each piece has the alignment of the first.
    step = max(1, step if columns >= 16 else step // 16 * 16)
    return [(i, min(step, rows - i)) for i in range(0, rows, step)]


def counted_columns(row: tuple[int, ...]) -> int:
    """Return the number of elements by which to estimate the work for a row.

    Parameters
    ----------
    row : tuple of int
        Shape of a row. An empty shape means that rows are single elements, without any work per
        row.
    """
    return max(math.prod(row), SHORTEST_ROW) if row else 1


def score_products(dim: int, k: int, rows: int) -> int:
    """Return the work for the score of a row, in multiply-adds.

    A row that is among the k best so far goes into a heap; with a large k, most rows do.

    Parameters
    ----------
    dim : int
        Length of a row.
    k : int
        Number of rows in the heap.
    rows : int
        Number of rows that are compared.
    """
    share = min(1.0, 8 * k / max(rows, 1))
    return max(dim, 1) + int(HEAP_LEVEL * math.log2(max(min(k, rows), 1)) * share)


def wanted_calls(products: int, most: int) -> int:
    """Return the number of calls into which to cut some work.

    Parameters
    ----------
    products : int
        Total number of multiply-adds.
    most : int
        Number of calls that are enough to keep all threads busy. The result is smaller if the calls
        would become too small, and larger if they would become too large.
    """
    return max(min(most, products // FEWEST_PRODUCTS), -(-products // MOST_PRODUCTS), 1)


def counted_products(m: int, n: int, k: int) -> int:
    """Return the work for a product of (m, k) and (k, n), in multiply-adds."""
    return max(m, SHORTEST_SIDE) * max(n, SHORTEST_SIDE) * max(k, SHORTEST_SIDE)


def product_tiles(m: int, n: int, k: int, most: int) -> list[tuple[int, int, int, int]]:
    """Cut an m x n result into pieces (first row, rows, first column, columns).

    Parameters
    ----------
    m, n, k : int
        Sizes of the product. If k is greater than `LONGEST_CHAIN`, the caller cuts along k too.
    most : int
        Number of pieces that are enough to keep all threads busy.
    """
    chain = min(k, LONGEST_CHAIN)
    at_least = -(-counted_products(m, n, chain) // MOST_PRODUCTS)
    wanted = max(wanted_calls(m * n * max(chain, 1), most), at_least)
    # A call packs its operands first, at a cost of 1 / rows and 1 / columns of its work. Halving
    # the longer side keeps both small.
    down = across = 1
    while down * across < wanted:
        if m / down >= n / across and m / down > _TILE_ROWS:
            down *= 2
        elif n / across > _TILE_COLUMNS:
            across *= 2
        else:
            break
    row_step = -(-m // (down * _TILE_ROWS)) * _TILE_ROWS or 1
    column_step = -(-n // (across * _TILE_COLUMNS)) * _TILE_COLUMNS or 1
    return [
        (i, min(row_step, m - i), j, min(column_step, n - j))
        for i in range(0, m, row_step)
        for j in range(0, n, column_step)
    ]
