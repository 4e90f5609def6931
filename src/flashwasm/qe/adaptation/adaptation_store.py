"""Versions of a suite's adaptation on disk, one of which is active.

Each suite has a folder. It contains a folder for each version, ``0001``, ``0002``, ..., and the
file ``active``, which lists the previously active versions and, last, the active one.

A version is written to a scratch folder, flushed to the disk, and then renamed to its number. The
file ``active`` is replaced atomically, by one process at a time. So if the process is killed or the
power fails, either the old version is active or the new one. When `add` or `activate` has returned,
its change is permanent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CapabilityError, CorruptFileError, ShapeError
from flashwasm.object_checks import checked_text, instance_of
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation
from flashwasm.storage.atomic_files import replace_with, write_atomically
from flashwasm.storage.file_paths import checked_path
from flashwasm.storage.folder_lock import locked
from flashwasm.storage.scratch_files import scratch_folder
from flashwasm.storage.user_folders import data_folder
from flashwasm.storage.write_check import check_writable

if TYPE_CHECKING:
    from flashwasm.runtime.runtime import Runtime

__all__ = ["AdaptationStore", "Version", "active_adaptation"]

_FACTS = "facts.json"
_DIGITS = 4


@dataclass(frozen=True)
class Version:
    """One version of a suite's adaptation.

    Attributes
    ----------
    number : int
        Number of the version, counted from 1.
    created : str
        Time at which it was created, in UTC.
    model : str
        Digest of the model whose embeddings it adapts.
    verdict : dict
        Result of the cross-validation.
    """

    number: int
    created: str
    model: str
    verdict: dict[str, Any]


class AdaptationStore:
    """The adaptations of one suite.

    Parameters
    ----------
    suite : str or pathlib.Path
        Root folder of the suite.
    folder : pathlib.Path, optional
        Folder of the versions; None is a folder inside the user's data folder.
    """

    def __init__(self, suite: str | Path, folder: Path | None = None) -> None:
        checked_path(suite, "suite")
        name = hashlib.sha256(str(suite).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.folder = (
            data_folder() / "adaptations" / name
            if folder is None
            else checked_path(folder, "folder")
        )

    @property
    def _remedy(self) -> str:
        """End of an error message about damaged files: how to start again."""
        return f"delete {self.folder}, and learn again with: flashwasm adapt PATH"

    def check_writable(self) -> None:
        """Raise OSError if a new version is known not to be writable."""
        check_writable(self.folder / "active")

    def add(self, adaptation: Adaptation, model: str, verdict: dict[str, Any]) -> Version:
        """Write a new version, without activating it.

        Parameters
        ----------
        adaptation : Adaptation
            Whitening and adapter.
        model : str
            Digest of the model whose embeddings it adapts.
        verdict : dict
            Result of the cross-validation.

        Returns
        -------
        Version
        """
        instance_of(adaptation, Adaptation, "adaptation")
        checked_text(model, "model")
        instance_of(verdict, dict, "verdict")
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        facts = {"created": created, "model": model, "verdict": verdict}
        scratch = scratch_folder(self.folder)
        try:
            adaptation.save(scratch)
            write_atomically(scratch / _FACTS, [json.dumps(facts, indent=2).encode()])
            with locked(self.folder):
                number = max([*self._numbers(), 0]) + 1
                replace_with(scratch, self._folder(number))
        except BaseException:
            rmtree(scratch, ignore_errors=True)
            raise
        return Version(number, created, model, verdict)

    def load(self, version: Version, runtime: Runtime | None = None) -> Adaptation:
        """Read the adaptation of a version.

        Parameters
        ----------
        version : Version
            One of `history`.
        runtime : Runtime, optional
            Runtime whose linear memory stores the adapter.

        Returns
        -------
        Adaptation
        """
        return Adaptation.load(
            self._folder(instance_of(version, Version, "version").number), runtime
        )

    def history(self) -> list[Version]:
        """Return the complete versions, the oldest first."""
        whole = [n for n in self._numbers() if (self._folder(n) / _FACTS).is_file()]
        return [self._version(number) for number in sorted(whole)]

    def active(self) -> Version | None:
        """Return the active version; None if none is active."""
        stack = self._stack()
        return self._version(stack[-1]) if stack else None

    def activate(self, version: Version) -> None:
        """Activate a version.

        Parameters
        ----------
        version : Version
            One of `history`.
        """
        with locked(self.folder):
            self._write([*self._stack(), instance_of(version, Version, "version").number])

    def rollback(self) -> Version | None:
        """Activate the previously active version, and return it; None if there is none.

        Raises
        ------
        ShapeError
            If no version is active.
        """
        if not self._stack():
            raise ShapeError("no adaptation is active; `flashwasm adapt PATH` makes one")
        with locked(self.folder):
            # Another process may have rolled back in the meantime.
            stack = self._stack()
            before = self._version(stack[-2]) if len(stack) > 1 else None
            self._write(stack[:-1])
        return before

    def _folder(self, number: int) -> Path:
        """Return the folder of a version."""
        return self.folder / f"{number:0{_DIGITS}}"

    def _numbers(self) -> list[int]:
        """Return the numbers of all version folders, including incomplete versions."""
        return [int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdecimal()]

    def _version(self, number: int) -> Version:
        """Read the description of a version."""
        path = self._folder(number) / _FACTS
        facts = _read(path)
        if facts is None:
            raise CorruptFileError(
                f"{path} is missing, though its version is active; {self._remedy}"
            )
        try:
            return Version(number, facts["created"], facts["model"], dict(facts["verdict"]))
        except (KeyError, TypeError, ValueError):
            raise CorruptFileError(
                f"{path} does not describe an adaptation; {self._remedy}"
            ) from None

    def _stack(self) -> list[int]:
        """Return the numbers of all versions in the file ``active``; the active one is last."""
        path = self.folder / "active"
        stack = _read(path)
        if stack is None:
            return []
        if not isinstance(stack, list) or not all(type(n) is int and n > 0 for n in stack):
            raise CorruptFileError(f"{path} is not a list of version numbers; {self._remedy}")
        return stack

    def _write(self, stack: list[int]) -> None:
        """Replace the file ``active``."""
        write_atomically(self.folder / "active", [json.dumps(stack).encode()])


def active_adaptation(
    root: Path, model: str, runtime: Runtime
) -> tuple[int | None, Adaptation | None, list[str]]:
    """Return the number and the adaptation of a suite's active version, and notes for the user.

    If no version is active, or the active one cannot be used, the first two are None. If it cannot
    be used, a note gives the reason.

    Parameters
    ----------
    root : pathlib.Path
        Root folder of the suite.
    model : str
        Digest of the model in use. An adaptation that was trained for another model is not used.
    runtime : Runtime
        Runtime whose linear memory is to hold the adapter.
    """
    try:
        store = AdaptationStore(root)
    except CapabilityError:  # The user may have no home folder, and then has no adaptations.
        return None, None, []
    try:
        version = store.active()
        if version is None:
            return None, None, []
        if version.model == model:
            return version.number, store.load(version, runtime), []
    except (CorruptFileError, OSError) as error:
        return None, None, [f"the active adaptation cannot be read, so it is not used: {error}"]
    note = f"the active adaptation, version {version.number}, was trained for another model"
    return None, None, [f"{note}, so it is not used"]


def _read(path: Path) -> Any:
    """Return the content of a JSON file; None if there is no such file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        message = (
            f"{path}: {error}; delete {path.parent}, and learn again with: flashwasm adapt PATH"
        )
        raise CorruptFileError(message) from None
