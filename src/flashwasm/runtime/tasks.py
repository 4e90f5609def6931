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

# Rows and columns of the tiles that the kernels of products compute: struct tile of wasm/tile.h.
_TILE_ROWS, _TILE_COLUMNS = 4, 8


def most_in_one_call(threads: int) -> int:
    """Return the most elements that are best processed in one call, on the calling thread.

    With one thread there is nobody to share the work with: only timeouts and Ctrl-C limit it.
    """
    return FEWEST_ELEMENTS if threads > 1 else MOST_ELEMENTS


def row_tasks(rows: int, columns: int, threads: int) -> list[tuple[int, int]]:
    """Cut rows into pieces (first row, number of rows).

    There are about two pieces for each thread, so that all threads end at nearly the same time. The
    limits on the elements of a piece can make it more or fewer.

    Parameters
    ----------
    rows, columns : int
        Number of rows, and of elements in each.
    threads : int
        Number of threads that share the pieces.
    """
    if rows * columns <= most_in_one_call(threads):
        return [(0, rows)]
    wanted = min(rows * columns // (2 * threads), MOST_ELEMENTS)
    step = max(wanted, FEWEST_ELEMENTS) // max(columns, 1)
    # Narrow rows are cut in groups of 16, so that each piece is aligned in memory as the first is.
    step = max(1, step if columns >= 16 else step // 16 * 16)
    return [(i, min(step, rows - i)) for i in range(0, rows, step)]


def counted_columns(row: tuple[int, ...]) -> int:
    """Return the elements that a row counts as.

    Parameters
    ----------
    row : tuple of int
        Shape of a row. It is empty if the rows are single elements, and nothing is done for a row.
    """
    return max(math.prod(row), SHORTEST_ROW) if row else 1


def score_products(dim: int, k: int, rows: int) -> int:
    """Return the multiply-adds that the score of a row counts as.

    A row that is among the k best so far moves through a heap; with a large k, most rows do.

    Parameters
    ----------
    dim : int
        Length of a row.
    k : int
        Number of the best rows that the heap keeps.
    rows : int
        Number of rows that go through the heap.
    """
    share = min(1.0, 8 * k / max(rows, 1))
    return max(dim, 1) + int(HEAP_LEVEL * math.log2(max(min(k, rows), 1)) * share)


def wanted_calls(products: int, most: int) -> int:
    """Return the number of calls to cut multiply-adds into.

    Parameters
    ----------
    products : int
        Number of multiply-adds in all.
    most : int
        Number of calls that are enough to keep all threads busy. The result is smaller if the calls
        would become too small, and larger if they would become too large.
    """
    return max(min(most, products // FEWEST_PRODUCTS), -(-products // MOST_PRODUCTS), 1)


def counted_products(m: int, n: int, k: int) -> int:
    """Return the multiply-adds that a product of (m, k) and (k, n) counts as, by its time."""
    return max(m, SHORTEST_SIDE) * max(n, SHORTEST_SIDE) * max(k, SHORTEST_SIDE)


def product_tiles(m: int, n: int, k: int, most: int) -> list[tuple[int, int, int, int]]:
    """Cut an m x n result into pieces (first row, rows, first column, columns) of bounded work.

    Parameters
    ----------
    m, n, k : int
        Sizes of the product. Calls of more than `LONGEST_CHAIN` of k are cut along k, too, by the
        caller.
    most : int
        Number of pieces that are enough to keep all threads busy.
    """
    chain = min(k, LONGEST_CHAIN)
    at_least = -(-counted_products(m, n, chain) // MOST_PRODUCTS)
    wanted = max(wanted_calls(m * n * max(chain, 1), most), at_least)
    # A call packs its operands first, which costs 1 / rows and 1 / columns of its work. The longer
    # side is halved, which keeps both small.
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
