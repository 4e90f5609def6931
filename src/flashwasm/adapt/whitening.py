"""Whitening: what can be done for a corpus of embeddings without any label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.adapt.sample_checks import bounded, narrowed
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.ops import matmul, vecadd
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.runtime import checked_runtime
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from flashwasm.validation import floats

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_KIND = "whitening"
# Rows whose covariance is computed at once.
_CHUNK = 4096


class Whitening:
    """Centring, and making the directions of a corpus more alike in how far it reaches along them.

    Made by `fit` or `load`. With the corpus's mean m and covariance C, a vector becomes
    ``(x - m) S^(-power / 2)`` where ``S = (1 - shrinkage) C + shrinkage trace(C) / dim I``.

    Attributes
    ----------
    mean : numpy.ndarray of float32, shape (dim,)
        What is subtracted.
    matrix : numpy.ndarray of float32, shape (dim, dim)
        What the difference is multiplied with, symmetric.
    shrinkage, power : float
        As given to `fit`.

    Notes
    -----
    Kessy, Lewin & Strimmer, "Optimal whitening and decorrelation", 2018 (theirs is the ZCA form);
    Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004
    (what is shrunk to). Products are the kernels'; the mean and the decomposition are NumPy's, so
    the bits of `fit` may depend on its LAPACK. Those of `apply` do not.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> corpus = np.random.default_rng(0).standard_normal((500, 2)) * [10, 1] + [3, 3]
    >>> white = fw.Whitening.fit(corpus, shrinkage=0.0).apply(corpus)
    >>> bool(np.abs(np.cov(white.T, bias=True) - np.eye(2)).max() < 1e-4)
    True
    """

    def __init__(self, mean: Array, matrix: Array, shrinkage: float, power: float) -> None:
        self.mean = mean
        self.matrix = matrix
        self.shrinkage = shrinkage
        self.power = power

    @classmethod
    def fit(
        cls,
        vectors: ArrayLike,
        *,
        shrinkage: float = 0.1,
        power: float = 1.0,
        runtime: Runtime | None = None,
        timeout: float | None = None,
    ) -> Whitening:
        """Learn mean and covariance of a corpus.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            The corpus, n at least 2. It is read some thousand rows at a time, twice, so an array
            may be mapped from a file that is larger than memory.
        shrinkage : float, default 0.1
            From 0, the covariance as it is, to 1, the same variance in all directions.
        power : float, default 1.0
            From 0, which only centres, by 0.5, which makes variances their square roots, to 1,
            which makes them one.
        runtime : Runtime, optional
            Where to run.
        timeout : float, optional
            Seconds for the product of each part.

        Returns
        -------
        Whitening

        Raises
        ------
        ShapeError
            If vectors are not finite, or the covariance has no inverse: with less than ``dim + 1``
            vectors and a shrinkage of 0 it has none.
        DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        strength, exponent = (
            bounded(shrinkage, "shrinkage", 0.0, 1.0),
            bounded(power, "power", 0.0, 1.0),
        )
        rt = checked_runtime(runtime)
        rt.check_open()
        corpus = floats(vectors, "vectors", ndim=2)
        if len(corpus) < 2 or not corpus.shape[1]:
            message = f"vectors: expected shape (n, dim), n at least 2, got {corpus.shape}"
            raise ShapeError(message)
        with np.errstate(all="ignore"):
            mean = _mean(corpus)
            covariance = _covariance(corpus, mean, rt, deadline(rt, timeout))
        if not np.isfinite(covariance).all():
            message = "vectors: expected finite numbers whose squares are finite in float32"
            raise ShapeError(message)
        matrix = _inverse_root(covariance, strength, exponent)
        return cls(mean, matrix, strength, exponent)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.mean)

    def apply(
        self,
        x: ArrayLike,
        *,
        out: Array | None = None,
        runtime: Runtime | None = None,
        timeout: float | None = None,
    ) -> Array:
        """Return whitened vectors.

        Parameters
        ----------
        x : array_like of float, shape (..., dim)
            Vectors.
        out : numpy.ndarray of float32, shape (..., dim), optional
            Where to write.
        runtime : Runtime, optional
            Where to run.
        timeout : float, optional
            Seconds for each of centring and turning.

        Returns
        -------
        numpy.ndarray of float32, shape (..., dim)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, ClosedError
        """
        array = floats(x, "x", at_least=1)
        if array.shape[-1] != self.dim:
            message = f"x: expected shape (..., {self.dim}), got {array.shape}"
            raise ShapeError(message)
        rt = checked_runtime(runtime)
        until = deadline(rt, timeout)
        centred = vecadd(array, -self.mean, runtime=rt, timeout=until)
        return matmul(centred, self.matrix, out=out, runtime=rt, timeout=until)

    def __repr__(self) -> str:
        return f"<Whitening of {self.dim}, shrinkage {self.shrinkage}, power {self.power}>"

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file, as a whole.

        Parameters
        ----------
        path : path-like
            The file; one that is there is replaced.

        Raises
        ------
        OSError
            If it cannot be written; the old file stays.
        """
        parameters = {"shrinkage": self.shrinkage, "power": self.power}
        sections = {"mean": self.mean, "matrix": self.matrix}
        write_container(Path(path), Container(_KIND, "", "float32", parameters, sections))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Whitening:
        """Return what `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        Whitening

        Raises
        ------
        CorruptFileError
            If the file is truncated, changed, of another kind or of a later version.
        OSError
            If it cannot be read.
        """
        container = read_container(Path(path), _KIND)
        try:
            mean, matrix = (container.sections.pop(name) for name in ("mean", "matrix"))
            shrinkage, power = (
                bounded(container.parameters.pop(name), name, 0.0, 1.0)
                for name in ("shrinkage", "power")
            )
            whole = mean.dtype == matrix.dtype == np.float32 and mean.ndim == 1 and len(mean)
            if not whole or matrix.shape != (len(mean),) * 2:
                message = f"a mean of {mean.shape}, a matrix of {matrix.shape}"
                raise ShapeError(message)
        except (KeyError, TypeError, ValueError) as error:
            message = f"{path}: the file is no whitening's: {error}"
            raise CorruptFileError(message) from None
        return cls(mean, matrix, shrinkage, power)


def _chunks(corpus: Array) -> list[slice]:
    return [slice(i, i + _CHUNK) for i in range(0, len(corpus), _CHUNK)]


def _mean(corpus: Array) -> Array:
    """Return the mean of the rows, summed in float64."""
    total = sum(corpus[rows].sum(axis=0, dtype=np.float64) for rows in _chunks(corpus))
    return narrowed(np.asarray(total / len(corpus)))


def _covariance(corpus: Array, mean: Array, rt: Runtime, timeout: float | None) -> Array:
    """Return the covariance: products of chunks by the kernel, summed in float64."""
    total = np.zeros((corpus.shape[1],) * 2)
    for rows in _chunks(corpus):
        centred = vecadd(corpus[rows], -mean, runtime=rt, timeout=timeout)
        total += matmul(centred.T, centred, runtime=rt, timeout=timeout)
    return total / len(corpus)


def _inverse_root(covariance: Array, shrinkage: float, power: float) -> Array:
    """Return the shrunk covariance to the power of -power / 2, or raise where it has none."""
    dim = len(covariance)
    same = np.trace(covariance) / dim
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * same * np.eye(dim))
    # What float32 products leave of a direction in which there is nothing.
    least = values[-1] * dim * np.finfo(np.float32).eps
    if power and not values[0] > least:
        message = (
            f"shrinkage: expected enough for the covariance to have an inverse, got {shrinkage}; "
            f"its eigenvalues go from {values[0]:.3g} to {values[-1]:.3g}"
        )
        raise ShapeError(message)
    return narrowed(axes * np.maximum(values, least) ** (-power / 2) @ axes.T)
