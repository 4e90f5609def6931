"""Whitening of sentence embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.scoring.matrix_cache import cached_arrays

__all__ = ["whitened", "whitened_collection"]

Array = npt.NDArray[Any]
# Part of the key of what is cached; to be raised when it is made in another way.
_VERSION = 1


def whitened(vectors: Array, power: float = 0.5) -> Callable[[Array], Array]:
    """Return a map to unit vectors whose directions vary alike, for vectors like these.

    Sentence embeddings of one program share a few directions that drown the others. Dividing each
    principal direction by a power of its variance (Su et al., "Whitening sentence representations",
    2021) brings those back; the whole of it would bring up noise. Variances are drawn towards their
    mean where there are few vectors to estimate them from.

    Parameters
    ----------
    vectors : numpy.ndarray of float, shape (n, dim)
        What to estimate from.
    power : float, default 0.5
        0 changes nothing but the centre, 1 makes all variances equal.

    Returns
    -------
    callable
        Takes vectors ``(m, dim)``, returns unit vectors ``(m, dim)`` in float32.
    """
    centre, scale = _fit(vectors, power)
    return partial(_mapped, centre, scale)


def whitened_collection(
    vectors: Array, *, cache: bool = False
) -> tuple[Callable[[Array], Array], Array]:
    """Return what `whitened` does for a collection, and that of the collection.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (n, dim)
        The collection.
    cache : bool, default False
        Whether both are kept in the user's cache folder.
    """

    def make() -> dict[str, Array]:
        centre, scale = _fit(vectors)
        return {"centre": centre, "scale": scale, "vectors": _mapped(centre, scale, vectors)}

    digest = hashlib.sha256(f"{_VERSION} {vectors.shape} {vectors.dtype.str} ".encode())
    if cache:
        digest.update(np.ascontiguousarray(vectors).data)
    found = cached_arrays("whitened", digest.hexdigest(), make, cache=cache)
    return partial(_mapped, found["centre"], found["scale"]), found["vectors"]


def _fit(vectors: Array, power: float = 0.5) -> tuple[Array, Array]:
    """Return the vectors' mean, and what turns their directions and divides those."""
    centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    n, dim = vectors.shape
    # The products are in float32, half the time for the many vectors of a suite.
    centred = vectors.astype(np.float32) - centre
    covariance = (centred.T @ centred).astype(np.float64) / n
    variance, directions = np.linalg.eigh(covariance)
    trust = n / (n + dim)
    variance = trust * np.maximum(variance, 0) + (1 - trust) * max(variance.mean(), 1e-12)
    return centre, (directions * variance ** (-power / 2)).astype(np.float32)


def _mapped(centre: Array, scale: Array, rows: Array) -> Array:
    mapped: Array = (rows.astype(np.float32) - centre) @ scale
    lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
    mapped /= np.where(lengths == 0, 1, lengths)
    return mapped
