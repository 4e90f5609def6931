"""Whitening: an adaptation of embeddings that requires a corpus but no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.adapt.argument_checks import bounded
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.keyword_hints import made_by
from flashwasm.ops import matmul, vecadd
from flashwasm.runtime.deadline import deadline
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.runtime.launch import Launch
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from flashwasm.summaries import summary
from flashwasm.validation import floats, narrowed, shaped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]

_KIND = "whitening"
# Number of rows to read at a time.
_CHUNK = 4096


class Whitening:
    """Linear map that centres a corpus and makes its variances in all directions more equal.

    Use `fit` or `load` to create one. Let m be the mean and C the covariance of the corpus. A
    vector x becomes ``(x - m) S^(-power / 2)``, where ``S = (1 - shrinkage) C + shrinkage trace(C)
    / dim I``.

    Parameters
    ----------
    mean : numpy.ndarray of float32, shape (dim,)
        Mean m of the corpus.
    matrix : numpy.ndarray of float32, shape (dim, dim)
        Symmetric matrix S^(-power / 2).
    shrinkage : float
        Shrinkage that was given to `fit`.
    power : float
        Power that was given to `fit`.

    Raises
    ------
    ShapeError, DTypeError
        If an argument is out of range or of the wrong type.

    Notes
    -----
    Kessy, Lewin & Strimmer, "Optimal whitening and decorrelation", 2018: this is their ZCA form.
    Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004:
    the covariance is shrunk as in theirs. Kernels compute the products. NumPy computes the mean and
    the eigenvectors, so the bits of `fit` may depend on NumPy's LAPACK. The bits of `apply` do not.

    Examples
    --------
    >>> import numpy as np
    >>> import flashwasm as fw
    >>> corpus = np.random.default_rng(0).standard_normal((500, 2)) * [10, 1] + [3, 3]
    >>> white = fw.Whitening.fit(corpus, shrinkage=0.0).apply(corpus)
    >>> bool(np.abs(np.cov(white.T, bias=True) - np.eye(2)).max() < 1e-4)
    True
    """

    @made_by("fit", "load")
    def __init__(self, mean: Array, matrix: Array, shrinkage: float, power: float) -> None:
        self.mean = narrowed(floats(mean, "mean", ndim=1))
        size = len(self.mean)
        self.matrix = narrowed(shaped(matrix, "matrix", (size, size), "the mean's length, twice"))
        self.shrinkage = bounded(shrinkage, "shrinkage", 0.0, 1.0)
        self.power = bounded(power, "power", 0.0, 1.0)

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
        """Compute the map from the mean and the covariance of a corpus.

        Parameters
        ----------
        vectors : array_like of float, shape (n, dim)
            Corpus of n vectors, n at least 2 and dim at most 16,384. It is read twice, 4,096 rows
            at a time, so it may be a memory-mapped file that is larger than memory.
        shrinkage : float, default 0.1
            Weight of the second term of S, from 0 to 1. With 0, S is the covariance itself.
        power : float, default 1.0
            Strength of the change, from 0 to 1. 0 only subtracts the mean, 0.5 turns each variance
            into its square root, and 1 turns each variance into 1.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        Whitening

        Raises
        ------
        ShapeError
            If a vector is not finite, or if the covariance has no inverse. With a shrinkage of 0,
            at least ``dim + 1`` vectors are required for an inverse.
        DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
        """
        strength = bounded(shrinkage, "shrinkage", 0.0, 1.0)
        exponent = bounded(power, "power", 0.0, 1.0)
        rt = checked_runtime(runtime)
        rt.check_open()
        corpus = floats(vectors, "vectors", ndim=2)
        if len(corpus) < 2 or not 1 <= corpus.shape[1] <= INDEX_MAX_DIM:
            message = (
                f"vectors: expected shape (n, dim), n at least 2 and dim at most {INDEX_MAX_DIM}, "
                f"got {corpus.shape}"
            )
            raise ShapeError(message)
        with np.errstate(all="ignore"):
            until = deadline(rt, timeout)
            mean = _mean(corpus, rt, until)
            covariance = _covariance(corpus, mean, rt, until)
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
        out: NDArray[np.float32] | None = None,
        runtime: Runtime | None = None,
        timeout: float | None = None,
    ) -> NDArray[np.float32]:
        """Return the whitened vectors.

        Parameters
        ----------
        x : array_like of float, shape (..., dim)
            Vectors to whiten.
        out : numpy.ndarray of float32, shape (..., dim), optional
            Array to write the result to. None means a new array.
        runtime : Runtime, optional
            Runtime to use. None means the default runtime.
        timeout : float, optional
            Maximum duration of the call in seconds. None means the runtime's timeout.

        Returns
        -------
        numpy.ndarray of float32, shape (..., dim)

        Raises
        ------
        ShapeError, DTypeError, OutOfMemoryError, DeadlineExceeded, Cancelled, ClosedError
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
        return summary(self, dim=self.dim, shrinkage=self.shrinkage, power=self.power)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the map to a file.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file. An existing file is replaced.

        Raises
        ------
        OSError
            If the file cannot be written. An existing file does not change then.
        ShapeError, DTypeError
            If ``path`` is not a path.
        """
        parameters = {"shrinkage": self.shrinkage, "power": self.power}
        sections = {"mean": self.mean, "matrix": self.matrix}
        write_container(checked_path(path), Container(_KIND, "", "float32", parameters, sections))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Whitening:
        """Read a map from a file.

        Parameters
        ----------
        path : str or os.PathLike
            Path of the file, as given to `save`.

        Returns
        -------
        Whitening

        Raises
        ------
        CorruptFileError
            If the file is truncated or changed, contains something else, or has a later version.
        OSError
            If the file cannot be read.
        ShapeError, DTypeError
            If ``path`` is not a path.
        """
        container = read_container(checked_path(path), _KIND)
        try:
            mean, matrix = (container.sections.pop(name) for name in ("mean", "matrix"))
            shrinkage, power = (container.parameters.pop(name) for name in ("shrinkage", "power"))
            if not mean.dtype == matrix.dtype == np.float32 or not len(mean):
                message = f"a mean of {mean.dtype}, a matrix of {matrix.dtype}"
                raise ShapeError(message)
            return cls(mean, matrix, shrinkage, power)
        except (KeyError, TypeError, ValueError) as error:
            message = f"{path}: the file does not contain a whitening: {error}"
            raise CorruptFileError(message) from None


def _chunks(corpus: Array) -> Iterator[Array]:
    """Yield the rows of a corpus, a chunk at a time."""
    return (corpus[i : i + _CHUNK] for i in range(0, len(corpus), _CHUNK))


def _mean(corpus: Array, rt: Runtime, timeout: float | None) -> Array:
    """Return the mean of the rows, summed in float64."""
    launch = Launch(rt, timeout)
    total = np.zeros(corpus.shape[1])
    for rows in _chunks(corpus):
        launch.check("Whitening.fit")
        total += rows.sum(axis=0, dtype=np.float64)
    return narrowed(total / len(corpus))


def _covariance(corpus: Array, mean: Array, rt: Runtime, timeout: float | None) -> Array:
    """Return the covariance. A kernel multiplies each chunk; the sum is in float64."""
    total = np.zeros((corpus.shape[1],) * 2)
    for rows in _chunks(corpus):
        centred = vecadd(rows, -mean, runtime=rt, timeout=timeout)
        total += matmul(centred.T, centred, runtime=rt, timeout=timeout)
    return total / len(corpus)


def _inverse_root(covariance: Array, shrinkage: float, power: float) -> Array:
    """Return the shrunk covariance to the power of -power / 2; raise unless it has an inverse."""
    dim = len(covariance)
    same = np.trace(covariance) / dim
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * same * np.eye(dim))
    # Because the float32 products are rounded, eigenvalues up to about this size may really be
    # zero.
    least = values[-1] * dim * np.finfo(np.float32).eps
    if power and not values[0] > least:
        message = (
            f"shrinkage: expected enough for the covariance to have an inverse, got {shrinkage}; "
            f"its eigenvalues go from {values[0]:.3g} to {values[-1]:.3g}"
        )
        raise ShapeError(message)
    return narrowed(axes * np.maximum(values, least) ** (-power / 2) @ axes.T)
