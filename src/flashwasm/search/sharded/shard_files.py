"""The files of a sharded index: the index's own file, and a file beside it for each shard."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from flashwasm.errors import CorruptFileError, DTypeError, ShapeError
from flashwasm.kernel_table import INDEX_MAX_DIM
from flashwasm.search.index_file import IndexFile, id_sections
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container
from flashwasm.storage.scratch_files import is_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from flashwasm.search.external_ids import IdTable
    from flashwasm.search.sharded.shards import IndexKind, Shards

    Array = NDArray[Any]

T = TypeVar("T")

KIND = "sharded-index"
# The shard number of a removed vector.
GONE = -1
# Prefix of the parameters in the file that are arguments of the shards' class.
_OPTION = "option."
# Limits on the numbers in a file, far above those of any real index.
_MOST_SHARDS = 1 << 16
_MOST_NUMBERS = 1 << 40


@dataclass(frozen=True)
class ShardSettings:
    """Arguments with which a sharded index was created.

    Attributes
    ----------
    kind : {"flat", "hnsw"}
        Class of the shards.
    dim : int
        Length of a vector.
    shard_size : int
        Number of vectors in a full shard.
    metric, dtype : str
        Metric and dtype of the shards.
    options : mapping
        All keyword arguments that were passed to the shards' class, including ``metric`` and
        ``dtype``.
    """

    kind: IndexKind
    dim: int
    shard_size: int
    metric: str
    dtype: str
    options: Mapping[str, Any]


def save_shards(
    own: Path,
    settings: ShardSettings,
    shards: Shards,
    homes: Array,
    ids: IdTable,
) -> None:
    """Write shards and the index's own file, as `save_files` does.

    Parameters
    ----------
    own, settings, homes, ids
        As in `save_files`.
    shards : Shards
        The shards, in order.
    """

    def write(paths: Sequence[Path]) -> None:
        for shard, path in zip(shards, paths, strict=True):
            shard.save(path)

    save_files(own, settings, len(shards), homes, ids, write)


def save_files(
    own: Path,
    settings: ShardSettings,
    count: int,
    homes: Array,
    ids: IdTable,
    write: Callable[[Sequence[Path]], None],
) -> None:
    """Write the shards to files with new names, then the index's own file; remove the old shards.

    Other processes may save an index to the same path at the same time. The last to finish wins. A
    later save removes the shards that no index file names any more.

    Parameters
    ----------
    own : pathlib.Path
        Path of the index's own file.
    settings : ShardSettings
        Arguments from which ``load`` creates the index.
    count : int
        Number of shards.
    homes : numpy.ndarray of int32, shape (n,)
        Number of each vector's shard, or ``GONE``, indexed by the vector's number.
    ids : IdTable
        Id of each vector, indexed by the vector's number.
    write : callable
        Function that writes the shards to the paths that it receives.
    """
    before, token = _token_in(own), os.urandom(8).hex()
    paths = [_shard_path(own, token, number) for number in range(count)]
    try:
        write(paths)
        write_container(own, _contents(token, settings, count, homes, ids))
    except BaseException:
        # Remove the new shards, unless the index's own file already named them at the interruption.
        if _token_in(own) != token:
            for path in paths:
                path.unlink(missing_ok=True)
        raise
    # The index has been saved, so a folder that cannot be listed is not an error.
    with suppress(OSError):
        _remove_others(own, before)


def _contents(
    token: str, settings: ShardSettings, count: int, homes: Array, ids: IdTable
) -> Container:
    """Return the contents of the index's own file, which names the shards by their token."""
    taken = np.flatnonzero(homes != GONE)
    parameters: dict[str, Any] = {
        "kind": settings.kind,
        "dim": settings.dim,
        "shard_size": settings.shard_size,
    }
    parameters |= {"token": token, "shards": count}
    parameters |= {"numbers": len(homes), "next_id": ids.next}
    options = dict(settings.options)
    if "dtype" in options:  # It may be a dtype of NumPy.
        options["dtype"] = settings.dtype
    parameters |= {_OPTION + name: value for name, value in options.items()}
    sections = {"taken": taken, "homes": homes[taken]} | id_sections(ids, taken)
    return Container(KIND, settings.metric, settings.dtype, parameters, sections)


class ShardFile(IndexFile):
    """The index's own file, which names the files of its shards.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    kinds : sequence of str
        Names of the classes that shards may have.
    """

    def __init__(self, path: str | PathLike[str], kinds: Sequence[str]) -> None:
        super().__init__(path, KIND)
        self._own = self._path
        self.kind: IndexKind = cast("IndexKind", self.text("kind", "|".join(kinds)))
        self.dim = self.number("dim", 1, INDEX_MAX_DIM)
        self.shard_size = self.number("shard_size", 1, 2**63 - 1)
        self.token = self.text("token", "[0-9a-f]{16}")
        options = (name for name in self.parameters if name.startswith(_OPTION))
        self.options = {name.removeprefix(_OPTION): self.parameters[name] for name in options}
        given = self.options.get("metric", "cosine"), self.options.get("dtype", "float32")
        if given != (self.metric, self.dtype):
            self.refuse(f"its shards are of metric {given[0]!r:.40} and dtype {given[1]!r:.40}")

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments with which the index was created, not yet checked."""
        sizes = {"kind": self.kind, "dim": self.dim, "shard_size": self.shard_size}
        return self.options | sizes

    @contextmanager
    def refuse_arguments(self) -> Iterator[None]:
        """Refuse the file if the index cannot be created with its arguments."""
        try:
            yield
        except (ShapeError, DTypeError, TypeError) as error:
            self.refuse(str(error))

    def shard_paths(self) -> Iterator[Path]:
        """Yield the path of each shard's file, or raise CorruptFileError if it is missing."""
        for number in range(self.number("shards", 1, _MOST_SHARDS)):
            path = _shard_path(self._own, self.token, number)
            if not path.is_file():
                self.refuse(f"there is no {path.name} beside it")
            yield path

    def homes(self, shards: Shards) -> tuple[Array, IdTable]:
        """Return the shard and the id of each vector, checked against the vectors in the shards.

        The vectors get new consecutive numbers, without those of removed vectors. A damaged file
        therefore cannot request more memory than its own vectors need.
        """
        expected = (self.dim, self.metric, self.dtype)
        taken, ids = self.numbers()
        held = self.section("homes", "<i4", taken.shape)
        for number, shard in enumerate(shards):
            if (shard.dim, shard.metric, shard.dtype) != expected:
                self.refuse(f"shard {number} has another dim, metric or dtype")
            if not np.array_equal(np.sort(shard.ids), taken[held == number]):
                self.refuse(f"shard {number} contains other vectors")
        if len(taken) != sum(map(len, shards)):
            self.refuse("it names a shard that does not exist")
        shards.number_anew(taken)
        return held.astype(np.int32), ids

    def numbers(self) -> tuple[Array, IdTable]:
        """Return the vectors' numbers in the shard, ascending, and their ids in the same order."""
        taken: Array = self.section("taken", "<i8", (None,))
        count = self.number("numbers", 0, _MOST_NUMBERS)
        if len(taken) and (taken[0] < 0 or taken[-1] >= count or (np.diff(taken) <= 0).any()):
            self.refuse("its vectors are not in order")
        return taken, self.ids(np.arange(len(taken)))


def read_shards(
    path: str | PathLike[str], kinds: Sequence[str], read: Callable[[ShardFile], T]
) -> T:
    """Read an index from its own file and its shards' files.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the index's own file.
    kinds : sequence of str
        As in `ShardFile`.
    read : callable
        Function that reads the shards. It is called again if another process replaced the index at
        the same time, because that process removes the old shards.

    Raises
    ------
    CorruptFileError
        As in `ShardedIndex.load`.
    """
    while True:
        file = ShardFile(path, kinds)
        try:
            return read(file)
        except (CorruptFileError, FileNotFoundError):
            if ShardFile(path, kinds).token == file.token:
                raise


def _shard_path(own: Path, token: str, number: int) -> Path:
    """Return the path of a shard's file. Each save draws a new random token."""
    return own.with_name(f"{own.name}.{token}.{number}")


def _token_in(own: Path) -> str | None:
    """Return the token in an index's own file; None if there is no such file."""
    try:
        token = read_container(own, KIND).parameters.get("token")
    except (OSError, CorruptFileError):
        return None
    return str(token)


def _remove_others(own: Path, before: str | None) -> None:
    """Remove the shards of the previous save, and older shards that no index file names.

    Files with other tokens may belong to a save that is still running in another process. They are
    removed when they are a day old.
    """
    names = re.compile(re.escape(own.name) + r"\.([0-9a-f]{16})\.[0-9]+")
    # Another process may have replaced the file in the meantime.
    named = _token_in(own)
    for file in own.parent.iterdir():
        found = names.fullmatch(file.name)
        if found and found[1] != named and (found[1] == before or is_stale(file)):
            file.unlink(missing_ok=True)
