"""Checks of the arguments of indexes."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from flashwasm.errors import ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM, INDEX_MAX_EF, INDEX_MAX_LINKS
from flashwasm.validation import INT32_MAX, integer, positive_int

IndexDType: TypeAlias = Literal["float32", "int8"]
DTYPES = get_args(IndexDType)
FEWEST_LINKS = 2


def checked_dim(dim: int) -> int:
    """Return the length of a vector, or raise if it is out of range."""
    return positive_int(dim, "dim", INDEX_MAX_DIM)


def checked_k(k: int) -> int:
    """Return the number of vectors to find, or raise if it is out of range."""
    return positive_int(k, "k", INT32_MAX)


def checked_m(m: int) -> int:
    """Return the number of links of a new vector, or raise if it is out of range."""
    if positive_int(m, "m") < FEWEST_LINKS:
        message = f"m: expected at least {FEWEST_LINKS}, got {m}"
        raise ShapeError(message)
    return positive_int(m, "m", INDEX_MAX_LINKS)


def checked_ef(ef: int, name: str) -> int:
    """Return the number of candidates that a search keeps, or raise if it is out of range."""
    return positive_int(ef, name, INDEX_MAX_EF)


def checked_seed(seed: int) -> int:
    """Return the lowest 64 bits of a seed; any integer is accepted."""
    return integer(seed, "seed") & (2**64 - 1)
